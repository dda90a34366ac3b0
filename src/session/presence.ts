import type { Grant } from "../auth/grants.ts";
import type { Identity } from "../auth/identity.ts";
import { matches } from "../protocol/channel.ts";
import { RequestError } from "../protocol/codes.ts";
import type { MembersQuery } from "../protocol/commands.ts";
import { fitting } from "../protocol/page.ts";
import { type Members, memberJson } from "../protocol/presence.ts";
import { Attendances, type Register } from "./attendance.ts";
import { authorise } from "./publisher.ts";

/** Who is where, over all nodes: told by them, and asked. */
export interface Roster extends Register {
  /**
   * Up to `limit` members behind a user, or from the first one on.
   * @throws {RequestError} backplane_unavailable
   */
  members(channel: string, after: string | undefined, limit: number): Promise<Members>;
}

/** Part of a channel's members, by name. */
export interface MembersPage extends Members {
  /** Behind whom the next page begins; undefined when this is the last one. */
  readonly next: string | undefined;
}

/** Who said goodbye may be back at once, as when a page is loaded anew. */
const GOODBYE_GRACE_MS = 2_000;

/** Who is in the channels that have presence. */
export class Presence {
  readonly attendances: Attendances;
  readonly #patterns: readonly string[];
  readonly #roster: Roster;
  readonly #rules: readonly Grant[];
  readonly #cutGraceMs: number;

  /**
   * @param patterns of the channels that have presence
   * @param cutGraceMs for who was cut off: as long as clients are told to take for coming back, and a little more
   */
  constructor(patterns: readonly string[], roster: Roster, rules: readonly Grant[], cutGraceMs: number) {
    this.#patterns = patterns;
    this.#roster = roster;
    this.#rules = rules;
    this.#cutGraceMs = cutGraceMs;
    this.attendances = new Attendances(roster);
  }

  /** A session has subscribed. */
  enter(channel: string, { user, info }: Identity): void {
    if (this.#has(channel)) this.attendances.enter(channel, user, info);
  }

  /** A session is subscribed no more. @param goodbye its client said so, and was not cut off */
  leave(channel: string, { user }: Identity, goodbye: boolean): void {
    if (this.#has(channel))
      this.attendances.leave(channel, user, goodbye ? GOODBYE_GRACE_MS : this.#cutGraceMs);
  }

  /** @throws {RequestError} forbidden, not_supported, backplane_unavailable */
  async read(identity: Identity, channel: string, { after, limit }: MembersQuery): Promise<MembersPage> {
    authorise(identity, "presence", channel, this.#rules);
    if (!this.#has(channel)) throw none(channel);
    // One more than asked for says whether there are more.
    const { count, members } = await this.#roster.members(channel, after, limit + 1);
    const page = fitting(members.slice(0, limit), (member) => memberJson(member).length);
    return { count, members: page, next: page.length < members.length ? page.at(-1)?.user : undefined };
  }

  #has(channel: string): boolean {
    return this.#patterns.some((pattern) => matches(pattern, channel));
  }
}

function none(channel: string): RequestError {
  return new RequestError("not_supported", "this channel has no presence", { channel });
}

/**
 * The members of a presence frame or body.
 * @param presence undefined: no channel has any
 * @throws {RequestError} forbidden, not_supported, backplane_unavailable
 */
export async function readMembers(
  presence: Presence | undefined,
  identity: Identity,
  channel: string,
  query: MembersQuery,
): Promise<string> {
  if (!presence) throw none(channel);
  const { count, members, next } = await presence.read(identity, channel, query);
  const more = next === undefined ? "" : `,"next":${JSON.stringify(next)}`;
  return `"count":${count},"members":[${members.map(memberJson).join(",")}]${more}`;
}
