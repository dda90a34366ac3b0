import { RequestError } from "../protocol/codes.ts";
import { isMarkedBy, type Mark, offsetOf } from "../protocol/cursor.ts";
import type { LossReason } from "../protocol/frames.ts";
import { fitting } from "../protocol/page.ts";
import { type Position, samePosition } from "../protocol/position.ts";
import type { ChannelContext } from "./context.ts";
import { before, hasPosition, lossIn } from "./continuity.ts";
import type { EncodedEvent } from "./encoded-event.ts";
import type { Page } from "./feed.ts";
import type { Recent } from "./recent.ts";

/** Events in one read of the history. */
const PAGE = 500;
/** For what is being read for others, before the history is read once more. */
const MAX_WAITS = 4;
/** A channel that does not get further for so long is out of reach of its history: that is told. */
export const SLOW_MS = 4_000;

/** Events behind a position, or why there are none to be had. */
export type Run =
  | { readonly events: readonly EncodedEvent[]; readonly lost?: undefined }
  | { readonly lost: LossReason };

/** Whose past it is. */
interface Present {
  readonly name: string;
  /** Of the last event delivered here. */
  readonly position: Position | undefined;
  readonly recent: Recent | undefined;
  readonly isClosed: boolean;
  mend(): Promise<void>;
}

/** What a channel gives to clients that come back: from memory, or else from the history. */
export class Past {
  readonly #channel: Present;
  readonly #context: Pick<ChannelContext, "feed" | "counts">;
  /** By the offset behind which the history is being read. */
  readonly #reading = new Map<number, Promise<Page>>();

  constructor(channel: Present, context: Pick<ChannelContext, "feed" | "counts">) {
    this.#channel = channel;
    this.#context = context;
  }

  /**
   * What follows a position, as far as this node has come; no events when that is where it is.
   * @param limit events @param bytes about @throws {RequestError} backplane_unavailable
   */
  async after(since: Position, limit: number, bytes: number, attempts = 3): Promise<Run> {
    if (!this.#channel.recent || !this.#channel.position) return { lost: "no_history" };
    if (attempts === 0) return { lost: "slow_backplane" };
    const { recent } = this.#channel;
    const found = await this.#recall(since.offset, () =>
      this.#channel.position && samePosition(since, this.#channel.position)
        ? []
        : recent.behind(since, limit),
    );
    const run = (events: readonly EncodedEvent[]): Run => ({
      events: fitting(events, ({ text }) => text.length, bytes),
    });
    if (!("events" in found)) return run(found);
    const lost = lossIn(since, found);
    if (lost) return { lost };
    const { epoch, offset } = this.#channel.position;
    const events = found.events.filter(
      ({ position }) => position?.epoch === epoch && position.offset <= offset,
    );
    if (events.length > 0) return run(events.slice(0, limit));
    // The client heard more elsewhere than this node has yet, or what this node has is of a time that Redis has lost.
    await this.#getFurther();
    return this.after(since, limit, bytes, attempts - 1);
  }

  /**
   * The position that a mark stands for, or why none is known that does.
   * @throws {RequestError} backplane_unavailable
   */
  async locate(mark: Mark, isBehind = true): Promise<{ readonly position: Position } | { lost: LossReason }> {
    const { position: head, recent } = this.#channel;
    if (!recent || !head) return { lost: "no_history" };
    const offset = offsetOf(mark, head.offset);
    if (offset > head.offset && isBehind) {
      // While Redis is away this throws, where a mend would go on, and tell those who have missed nothing.
      await this.#context.feed.head(this.#channel.name);
      await this.#getFurther(); // as in `after`
      return this.locate(mark, false);
    }
    if (offset >= head.offset) return offset === head.offset ? located(head, mark) : { lost: "forked" };
    const found = await this.#recall(offset, () => recent.at(offset + 1));
    const next = "events" in found ? found.events[0] : found;
    if (!hasPosition(next) || next.position.offset !== offset + 1) return { lost: "trimmed" };
    return located(before(next), mark);
  }

  /** What is in memory, or else the history behind an offset. Who reads for one client reads for all that wait. */
  async #recall<T>(offset: number, inMemory: () => T | undefined): Promise<T | Page> {
    for (let waits = 0; ; waits++) {
      const held = inMemory();
      if (held !== undefined) return held;
      const same = this.#reading.get(offset);
      if (same) return await same;
      const [other] = this.#reading.values();
      if (!other || waits === MAX_WAITS) return await this.#readFor(offset);
      await other.catch(() => {}); // it may bring this too: most want nearly the same
    }
  }

  async #readFor(offset: number): Promise<Page> {
    const reading = this.read(offset);
    this.#reading.set(offset, reading);
    try {
      const page = await reading;
      const [first] = page.events;
      const isWhole = hasPosition(first) && lossIn(before(first), page) === undefined;
      if (isWhole && this.#channel.position && !this.#channel.isClosed)
        this.#channel.recent?.prepend(page.events, this.#channel.position);
      return page;
    } finally {
      this.#reading.delete(offset);
    }
  }

  /** The position `count` events back, or as far as the history goes. @throws {RequestError} backplane_unavailable */
  async back(count: number): Promise<Position | undefined> {
    if (!this.#channel.recent || !this.#channel.position) return undefined;
    const held = this.#channel.recent.back(count);
    if (held) return held;
    this.#context.counts.historyReads++;
    const { head, events } = await this.#context.feed.readBefore(
      this.#channel.name,
      this.#channel.position.offset + 1,
      count,
    );
    const first = events.at(-1);
    return hasPosition(first) ? before(first) : head;
  }

  /** @throws {RequestError} backplane_unavailable */
  async #getFurther(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new RequestError("backplane_unavailable")), SLOW_MS);
    });
    await Promise.race([this.#channel.mend(), tooLong]).finally(() => clearTimeout(timer));
  }

  /** What the history holds behind an offset. @throws {RequestError} backplane_unavailable */
  read(offset: number): Promise<Page> {
    this.#context.counts.historyReads++;
    return this.#context.feed.readAfter(this.#channel.name, offset, PAGE);
  }
}

function located(position: Position, mark: Mark): { readonly position: Position } | { lost: LossReason } {
  return isMarkedBy(position, mark) ? { position } : { lost: "forked" };
}
