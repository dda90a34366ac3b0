import type { Grant } from "../auth/grants.ts";
import type { Identity } from "../auth/identity.ts";
import { lossIn } from "../hub/continuity.ts";
import type { Feed } from "../hub/feed.ts";
import { RequestError } from "../protocol/codes.ts";
import type { HistoryQuery } from "../protocol/commands.ts";
import { fitting } from "../protocol/page.ts";
import { formatId } from "../protocol/position.ts";
import { authorise } from "./publisher.ts";

/** Part of a channel's history, oldest first. */
export interface HistoryPage {
  /** The channel's newest position. */
  readonly id: string;
  /** JSON text of each event. */
  readonly events: readonly string[];
  /** Whether there are others in the direction that was asked for. */
  readonly more: boolean;
}

/** Reads what channels keep, for clients and for the API. */
export class History {
  readonly #feed: Pick<Feed, "readAfter" | "readBefore">;
  readonly #rules: readonly Grant[];

  constructor(feed: Pick<Feed, "readAfter" | "readBefore">, rules: readonly Grant[]) {
    this.#feed = feed;
    this.#rules = rules;
  }

  /** @throws {RequestError} forbidden, history_gone, not_supported, backplane_unavailable */
  async read(identity: Identity, channel: string, query: HistoryQuery): Promise<HistoryPage> {
    authorise(identity, "history", channel, this.#rules);
    const { since, before, limit } = query;
    // One more than asked for says whether there are more.
    const page = since
      ? await this.#feed.readAfter(channel, since.offset, limit + 1)
      : await this.#feed.readBefore(channel, before?.offset ?? Number.MAX_SAFE_INTEGER, limit + 1);
    if (!page.head) throw new RequestError("not_supported", "this channel keeps no history", { channel });
    const lost = since && lossIn(since, page);
    if (lost || (before && before.epoch !== page.head.epoch))
      throw new RequestError("history_gone", lost && `the events behind \`since\` are gone: ${lost}`, {
        channel,
      });
    const events = fitting(page.events.slice(0, limit), ({ text }) => text.length);
    const more = events.length < page.events.length;
    const texts = events.map(({ text }) => Buffer.from(text).toString());
    return { id: formatId(page.head), events: since ? texts : texts.reverse(), more };
  }
}

/** The members of a history frame or body. */
export function historyMembers({ id, events, more }: HistoryPage): string {
  return `"id":"${id}","events":[${events.join(",")}],"more":${more}`;
}
