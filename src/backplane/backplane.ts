import type { EncodedEvent } from "../hub/encoded-event.ts";
import type { Feed } from "../hub/feed.ts";
import type { ChannelCount, ChannelsQuery } from "../protocol/audience.ts";
import { RequestError } from "../protocol/codes.ts";
import type { Position } from "../protocol/position.ts";
import type { Attendance, Members } from "../protocol/presence.ts";
import type { Publication, Published } from "../protocol/publication.ts";

/**
 * What carries events between nodes, and gives them back after a gap.
 *
 * Delivery: to the nodes that listen when it is published, at most once. What was missed is in the history: an event's
 * position and the check of the one before it show whether anything lies between. Order: per channel, as published by
 * one publisher. Echo: a node hears its own publications too, so that local and remote delivery share one path.
 * A failure is temporary and told to the caller; what was subscribed heals by itself.
 */
export interface Backplane extends Feed {
  /** Begins to connect, and keeps at it until `close`. */
  start(): void;
  /** Keeps it, where the channel has a history, and sends it. @throws {RequestError} key_reused, backplane_unavailable */
  publish(event: Publication): Promise<Published>;
  /**
   * Tells a revocation to every node, also to those that are away or start later, and keeps it until then (ms since the
   * epoch). @throws {RequestError} backplane_unavailable, too_many_revocations
   */
  revoke(revocation: string, until: number): Promise<void>;
  /** Whether this node was told, once at least, all that is kept. */
  readonly knowsRevocations: boolean;
  /**
   * Says how many connections users have on this node.
   * @returns how many each has in the fleet, in the same order @throws {RequestError} backplane_unavailable
   */
  countConnections(counts: readonly (readonly [user: string, count: number])[]): Promise<readonly number[]>;
  /** @returns node → connections of the user there @throws {RequestError} backplane_unavailable */
  connectionsOf(user: string): Promise<ReadonlyMap<string, number>>;
  /**
   * Says who is in channels on this node, and who is no more. Who was nowhere in the fleet is published as `$join`, who is
   * nowhere any more as `$leave`; a node that dies takes those with it whom no other has.
   * @throws {RequestError} backplane_unavailable: some of it may have been heard
   */
  attend(attendances: readonly Attendance[]): Promise<void>;
  /**
   * Up to `limit` members of a channel behind a user, or from the first one on.
   * @throws {RequestError} backplane_unavailable
   */
  members(channel: string, after: string | undefined, limit: number): Promise<Members>;
  /**
   * Deletes the history of a channel: whoever is subscribed, or resumes from before, is told.
   * @returns the new beginning; undefined: it keeps none @throws {RequestError} backplane_unavailable
   */
  forget(channel: string): Promise<Position | undefined>;
  /** Says how many subscribers channels have on this node. @throws {RequestError} backplane_unavailable */
  countSubscribers(counts: readonly (readonly [channel: string, count: number])[]): Promise<void>;
  /** Channels that have a subscriber on any node, by name. @throws {RequestError} backplane_unavailable */
  channels(query: ChannelsQuery): Promise<readonly ChannelCount[]>;
  /** Undefined while events travel both ways; else when they last did (as `performance.now`; -Infinity: never). */
  readonly downSince: number | undefined;
  /** Times that the way in was made, the first included. */
  readonly connects: number;
  /** Round trip of the newest probe that came back, in milliseconds. */
  readonly probeMs: number;
  close(): Promise<void>;
}

/** Where a backplane hands in what it hears, and says what it refused. */
export interface BackplaneEvents {
  event(event: EncodedEvent, source: "plain" | "framed"): void;
  refused(reason: RefusedPayload, channel: string): void;
  /** The way was broken and is mended: on any channel events may have been missed. */
  interrupted(): void;
  /** By this node or another. */
  revoked(revocation: string, until: number): void;
  /** Somebody has deleted the history of a channel. */
  historyForgotten(channel: string): void;
  /** What this node reported of its users, and of who is in or listens to which channel, may be lost. */
  forgotten(): void;
}

/** Kept at a time: bounds what each node holds (some 10 MB) and reads when it starts. */
export const MAX_REVOCATIONS = 100_000;

/** @throws {RequestError} too_many_revocations when one more would be over the limit */
export function checkRevocations(kept: number): void {
  if (kept >= MAX_REVOCATIONS)
    throw new RequestError("too_many_revocations", `the limit is ${MAX_REVOCATIONS}`);
}

/** @param kept revocation → until when, ms since the epoch */
export function forgetEnded(kept: Map<string, number>): void {
  const now = Date.now();
  for (const [revocation, until] of kept) if (until <= now) kept.delete(revocation);
}

export type RefusedPayload = "too_big" | "bad_envelope";
