import type { LossReason } from "../protocol/frames.ts";
import { type Position, samePosition } from "../protocol/position.ts";
import { before, follows, hasPosition, lossIn } from "./continuity.ts";
import type { Edge } from "./edge.ts";
import type { EncodedEvent } from "./encoded-event.ts";
import type { Feed, Keeps } from "./feed.ts";
import { Recent, type RecentBudget } from "./recent.ts";

/** Events in one read of the history. */
const PAGE = 500;
/** Events that wait while the history is read; more are dropped and read from there. */
const MAX_HELD = 1_000;
const RETRY_MS = 250;
const MAX_RETRY_MS = 2_000;
/** Reads that brought nothing on, with something still held. */
const MAX_FRUITLESS = 3;
/** A hole that could not be closed for so long is told. */
const SLOW_MS = 4_000;

/** What a channel needs of its hub. */
export interface ChannelContext {
  readonly feed: Feed;
  readonly budget: RecentBudget;
  readonly counts: ContinuityCounts;
  readonly edge: Edge;
}

/** What is counted where it happens; plain numbers, read at scrape. */
export interface ContinuityCounts {
  /** Times that an event did not belong behind the one before it. */
  holes: number;
  /** Reads of a channel's history. */
  historyReads: number;
  readonly continuityLost: { add(reason: LossReason): void };
}

/** Who is on the way to the newest event, and gets what the history does not hold meanwhile. */
export interface Follower {
  passing(event: EncodedEvent): void;
}

/** Events behind a position, or why there are none to be had. */
export type Run =
  | { readonly events: readonly EncodedEvent[]; readonly lost?: undefined }
  | { readonly lost: LossReason };

/**
 * A channel that this node listens to: brings what comes in into an unbroken order, or says that it is broken.
 *
 * An event that does not belong behind the one before it is held, the history is read from there on, and both are
 * merged by offset. While that goes on nothing is delivered, so that what is delivered has no gap.
 */
export class Channel {
  readonly name: string;
  /** Subscriptions, and those who wait for `live` to have one. */
  interest = 0;
  /** Rejected when the node cannot listen. */
  readonly live: Promise<void>;
  /** Of the last event delivered here; undefined on a channel that keeps no history. */
  position: Position | undefined;
  /** Undefined on a channel that keeps no history. */
  readonly recent: Recent | undefined;
  readonly followers = new Set<Follower>();
  readonly #context: ChannelContext;
  /** While the position is not certain: what came in. */
  #held: EncodedEvent[] | undefined = [];
  /** Some that came in were not held. */
  #overflowed = false;
  #mending: Promise<void> | undefined;
  #reading: Promise<unknown> | undefined;
  /** Something came by that the history does not hold. */
  #heardPlain = false;
  #closed = false;

  constructor(name: string, keeps: Keeps | undefined, context: ChannelContext) {
    this.name = name;
    this.#context = context;
    this.recent = keeps && new Recent(context.budget, keeps);
    this.live = this.#open();
  }

  async #open(): Promise<void> {
    const { feed } = this.#context;
    await feed.subscribe(this.name);
    try {
      // Listening comes first: what is published in between is in what was held, in the position, or in both.
      this.position = this.recent && (await feed.head(this.name));
    } catch (error) {
      feed.unsubscribe(this.name);
      throw error;
    }
    if (this.#place()) this.#held = undefined;
    else void this.mend();
  }

  close(): void {
    this.#closed = true;
    this.recent?.clear();
  }

  receive(event: EncodedEvent): void {
    if (!event.position) return this.#pass(event);
    if (this.#held) return this.#hold(this.#held, event);
    // While releases with another TIDEGATE_HISTORY run, others may keep what is none of ours to put in order.
    if (!this.position) return this.#pass(event);
    if (follows(event, this.position)) return this.#accept(event);
    if (this.#isKnown(event.position, this.position)) return;
    this.#context.counts.holes++;
    this.#held = [event];
    void this.mend();
  }

  /** Nothing shows whether one of its kind was missed. */
  #pass(event: EncodedEvent): void {
    this.#heardPlain = true;
    this.#context.edge.broadcast(event);
    for (const follower of this.followers) follower.passing(event);
  }

  #accept(event: EncodedEvent): void {
    this.position = event.position;
    this.recent?.push(event);
    this.#context.edge.broadcast(event);
  }

  /** It was delivered already: the same event may come from the history and over the wire. */
  #isKnown(position: Position, newest: Position): boolean {
    return samePosition(position, newest) || (this.recent?.holds(position) ?? false);
  }

  #hold(held: EncodedEvent[], event: EncodedEvent): void {
    if (held.length < MAX_HELD) {
      held.push(event);
    } else {
      this.#overflowed = true;
      held.length = 0;
    }
  }

  /** The connection to the other nodes was broken and is mended. */
  async interrupted(): Promise<void> {
    const before = this.position;
    if (!before || before.offset === 0 || this.#heardPlain) this.#tell("history_lost");
    if (!this.recent || !before || this.#held) return;
    const head = await this.#context.feed.head(this.name).catch(() => undefined);
    const unmoved = head && samePosition(head, before);
    // What has come since belongs behind `before`, or it would not have been delivered.
    const caughtUp = head && this.recent.holds(head) && head.offset >= before.offset;
    if (!unmoved && !caughtUp) await this.mend();
  }

  /** Reads the history from the position on, until all that is known of the channel is delivered. */
  mend(): Promise<void> {
    this.#mending ??= this.#mend().finally(() => {
      this.#mending = undefined;
    });
    return this.#mending;
  }

  async #mend(): Promise<void> {
    this.#held ??= [];
    const start = performance.now();
    let fruitless = 0;
    for (let attempt = 0, told = false; !this.#closed; attempt++) {
      this.#overflowed = false;
      const before = this.position;
      try {
        const more = await this.#readOn();
        if (!more && !this.#overflowed && this.#place()) break;
        if (more || this.#overflowed || this.position !== before || ++fruitless < MAX_FRUITLESS) continue;
        // What was held does not belong to what Redis holds: it is of a time that Redis has lost.
        const last = this.#held.at(-1)?.position;
        if (last) this.position = await this.#context.feed.fork(this.name, last);
        this.recent?.clear();
        this.#held = [];
        this.#tell("forked");
      } catch {
        // Redis is away: what is held and more is in its history, or it will say that it is not.
        if (!told && performance.now() - start > SLOW_MS) {
          told = true;
          this.#tell("slow_backplane");
        }
        await wait(Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** attempt));
      }
    }
    this.#held = undefined;
  }

  /** @returns whether there is more to read */
  async #readOn(): Promise<boolean> {
    const since = this.position;
    if (!since) {
      this.position = await this.#context.feed.head(this.name);
      return false;
    }
    const page = await this.#read(since.offset);
    const lost = lossIn(since, page);
    if (lost) {
      const { feed } = this.#context;
      const forked = lost === "forked" ? await feed.fork(this.name, since) : undefined;
      this.recent?.clear();
      this.position = forked ?? this.#beforeHeld(page.head) ?? page.head;
      this.#tell(lost);
      return false;
    }
    for (const event of page.events) this.#accept(event);
    return page.events.length > 0 && this.position?.offset !== page.head?.offset;
  }

  /** Where to go on after a loss so that what was held still comes: it is all that is newer, or some of it. */
  #beforeHeld(head: Position | undefined): Position | undefined {
    const first = this.#held?.[0];
    if (!head || !hasPosition(first)) return undefined;
    const { epoch, offset } = first.position;
    return epoch === head.epoch && offset <= head.offset ? before(first) : undefined;
  }

  /** Delivers what was held and belongs behind the position. @returns whether that is all */
  #place(): boolean {
    const held = this.#held ?? [];
    this.#held = [];
    for (const [i, event] of held.entries()) {
      const { position } = this;
      if (position && follows(event, position)) {
        this.#accept(event);
      } else if (!position || !this.#isPast(event, position)) {
        this.#held = held.slice(i);
        return false;
      }
    }
    return true;
  }

  #isPast({ position: at }: EncodedEvent, position: Position): boolean {
    if (!at || at.epoch !== position.epoch || at.offset > position.offset) return false;
    return at.offset < position.offset || at.check === position.check;
  }

  #tell(reason: LossReason): void {
    this.#context.counts.continuityLost.add(reason);
    this.#context.edge.lost(this.name, this.position, reason);
  }

  /**
   * What follows a position, as far as this node has come; no events when that is where it is.
   * @throws {RequestError} backplane_unavailable
   */
  async after(since: Position, limit: number, attempts = 3): Promise<Run> {
    if (!this.recent || !this.position) return { lost: "no_history" };
    if (attempts === 0) return { lost: "slow_backplane" };
    for (;;) {
      if (samePosition(since, this.position)) return { events: [] };
      const held = this.recent.behind(since, limit);
      if (held) return { events: held };
      // Who reads for one client reads for all that wait: most want the same.
      if (!this.#reading) break;
      await this.#reading.catch(() => {});
    }
    const reading = this.#read(since.offset);
    this.#reading = reading;
    let page: Awaited<typeof reading>;
    try {
      page = await reading;
    } finally {
      this.#reading = undefined;
    }
    const lost = lossIn(since, page);
    if (lost) return { lost };
    const { epoch, offset } = this.position;
    const events = page.events.filter(
      ({ position }) => position?.epoch === epoch && position.offset <= offset,
    );
    if (events.length === 0) {
      // The client heard more elsewhere than this node has yet, or what this node has is of a time that Redis has lost.
      await this.mend();
      return this.after(since, limit, attempts - 1);
    }
    this.recent.prepend(page.events, this.position);
    return { events: events.slice(0, limit) };
  }

  /** The position `count` events back, or as far as the history goes. @throws {RequestError} backplane_unavailable */
  async back(count: number): Promise<Position | undefined> {
    if (!this.recent || !this.position) return undefined;
    const held = this.recent.back(count);
    if (held) return held;
    this.#context.counts.historyReads++;
    const { head, events } = await this.#context.feed.readBefore(this.name, this.position.offset + 1, count);
    const first = events.at(-1);
    return hasPosition(first) ? before(first) : head;
  }

  #read(offset: number): ReturnType<Feed["readAfter"]> {
    this.#context.counts.historyReads++;
    return this.#context.feed.readAfter(this.name, offset, PAGE);
  }
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
