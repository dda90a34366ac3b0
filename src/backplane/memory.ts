import type { Keeps, Page } from "../hub/feed.ts";
import type { ChannelCount, ChannelsQuery } from "../protocol/audience.ts";
import type { Position } from "../protocol/position.ts";
import type { Attendance, Members } from "../protocol/presence.ts";
import type { Publication, Published } from "../protocol/publication.ts";
import { type Backplane, type BackplaneEvents, checkRevocations, forgetEnded } from "./backplane.ts";
import { type HistoryRule, historyOf } from "./history.ts";
import { MemoryAudience } from "./memory-audience.ts";
import { MemoryHistory } from "./memory-history.ts";
import { MemoryRoster } from "./memory-roster.ts";

/** The same promises within one process: development, tests, and one node without Redis. */
export class MemoryBackplane implements Backplane {
  readonly downSince = undefined;
  readonly connects = 1;
  readonly probeMs = 0;
  readonly #channels = new Set<string>();
  readonly #revocations = new Map<string, number>();
  readonly #counts = new Map<string, number>();
  readonly #node: string;
  readonly #events: BackplaneEvents;
  readonly #rules: readonly HistoryRule[];
  readonly #history: MemoryHistory;
  readonly #roster = new MemoryRoster();
  readonly #audience = new MemoryAudience();
  readonly knowsRevocations = true;

  constructor(node: string, rules: readonly HistoryRule[], events: BackplaneEvents) {
    this.#node = node;
    this.#rules = rules;
    this.#history = new MemoryHistory(rules);
    this.#events = events;
  }

  start(): void {}

  async subscribe(channel: string): Promise<void> {
    this.#channels.add(channel);
  }

  unsubscribe(channel: string): void {
    this.#channels.delete(channel);
  }

  async publish(publication: Publication): Promise<Published> {
    const { id, event } = this.#history.append(publication);
    const heard = event !== undefined && this.#channels.has(publication.channel);
    if (heard) this.#events.event(event, "framed");
    return { id, listeners: heard ? 1 : 0, repeated: event === undefined };
  }

  keeps(channel: string): Keeps | undefined {
    return historyOf(this.#rules, channel);
  }

  async head(channel: string): Promise<Position | undefined> {
    return this.#history.head(channel);
  }

  /** Memory does not go back in time. */
  async fork(channel: string): Promise<Position | undefined> {
    return this.#history.head(channel);
  }

  async readAfter(channel: string, offset: number, limit: number): Promise<Page> {
    return this.#history.readAfter(channel, offset, limit);
  }

  async readBefore(channel: string, offset: number, limit: number): Promise<Page> {
    return this.#history.readBefore(channel, offset, limit);
  }

  async revoke(revocation: string, until: number): Promise<void> {
    forgetEnded(this.#revocations);
    checkRevocations(this.#revocations.size);
    this.#revocations.set(revocation, Math.max(until, this.#revocations.get(revocation) ?? 0));
    this.#events.revoked(revocation, until);
  }

  async countConnections(counts: readonly (readonly [string, number])[]): Promise<readonly number[]> {
    for (const [user, count] of counts) {
      if (count > 0) this.#counts.set(user, count);
      else this.#counts.delete(user);
    }
    return counts.map(([, count]) => count);
  }

  async connectionsOf(user: string): Promise<ReadonlyMap<string, number>> {
    const count = this.#counts.get(user);
    return new Map(count === undefined ? [] : [[this.#node, count]]);
  }

  async attend(attendances: readonly Attendance[]): Promise<void> {
    const rest = { sender: undefined, except: undefined, key: undefined };
    for (const attendance of attendances) {
      const event = this.#roster.take(attendance);
      if (event) await this.publish({ channel: attendance.channel, ...event, ...rest });
    }
  }

  async members(channel: string, after: string | undefined, limit: number): Promise<Members> {
    return this.#roster.members(channel, after, limit);
  }

  async forget(channel: string): Promise<Position | undefined> {
    this.#history.forget(channel);
    this.#events.historyForgotten(channel);
    return this.#history.head(channel);
  }

  async countSubscribers(counts: readonly (readonly [string, number])[]): Promise<void> {
    this.#audience.report(counts);
  }

  async channels(query: ChannelsQuery): Promise<readonly ChannelCount[]> {
    return this.#audience.page(query);
  }

  async close(): Promise<void> {
    this.#channels.clear();
  }
}
