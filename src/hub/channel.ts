import type { LossReason } from "../protocol/frames.ts";
import { type Position, samePosition } from "../protocol/position.ts";
import type { ChannelContext } from "./context.ts";
import { before, follows, hasPosition, isAtLeast, lossIn } from "./continuity.ts";
import type { EncodedEvent } from "./encoded-event.ts";
import type { Keeps } from "./feed.ts";
import { Past, SLOW_MS } from "./past.ts";
import { Recent } from "./recent.ts";

/** Events that wait while the history is read; more are dropped and read from there. */
const MAX_HELD = 1_000;
const RETRY_MS = 250;
const MAX_RETRY_MS = 2_000;
/** Reads that brought nothing on, with something still held. */
const MAX_FRUITLESS = 3;

/** Who is on the way to the newest event, and gets what the history does not hold meanwhile. */
export interface Follower {
  passing(event: EncodedEvent): void;
  /** Something that the history does not hold may have passed unheard. */
  missed(): void;
}

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
  readonly past: Past;
  readonly #context: ChannelContext;
  /** While the position is not certain: what came in. */
  #held: EncodedEvent[] | undefined = [];
  /** Some that came in were not held. */
  #overflowed = false;
  #mending: Promise<void> | undefined;
  /** Something came by that the history does not hold. */
  #heardPlain = false;
  #closed = false;

  constructor(name: string, keeps: Keeps | undefined, context: ChannelContext) {
    this.name = name;
    this.#context = context;
    this.recent = keeps && new Recent(context.budget, keeps);
    this.past = new Past(this, context);
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

  /** Nobody listens here any more: what is still under way is nobody's. */
  get isClosed(): boolean {
    return this.#closed;
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
    this.#broadcast(event);
    for (const follower of this.followers) follower.passing(event);
  }

  #accept(event: EncodedEvent): void {
    this.position = event.position;
    this.recent?.push(event);
    this.#broadcast(event);
  }

  /** The one place where an event fans out. */
  #broadcast(event: EncodedEvent): void {
    for (const edge of this.#context.edges) edge.broadcast(event);
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
    const { position } = this;
    if (!position || position.offset === 0 || this.#heardPlain) {
      this.#tell("history_lost");
      for (const follower of this.followers) follower.missed();
    }
    // What is being read now may have been read before the way was mended.
    await this.#mending;
    await this.check().catch(() => this.mend());
  }

  /**
   * Asks where the channel is, and reads on when this is not there.
   * @param patienceMs for an event that is on its way @throws {RequestError} backplane_unavailable
   */
  async check(patienceMs = 0): Promise<void> {
    const asked = this.position;
    if (!asked || this.#held) return;
    const head = await this.#context.feed.head(this.name);
    // A head that does not lie ahead of where this was is of a Redis that went back in time: nothing is on its way.
    const isAhead = head && isAtLeast(head, asked);
    if (isAhead && !this.#isAt(head) && patienceMs > 0) await wait(patienceMs);
    if (this.#closed || (isAhead && this.#isAt(head))) return;
    if (isAhead && !this.#held) this.#context.counts.holes++;
    await this.mend();
  }

  /** What has come since a position was asked for belongs behind it, or it would not have been delivered. */
  #isAt(head: Position): boolean {
    return this.position !== undefined && isAtLeast(this.position, head);
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
        if (this.#closed) return;
        if (!more && !this.#overflowed && this.#place()) break;
        if (more || this.#overflowed || this.position !== before || ++fruitless < MAX_FRUITLESS) continue;
        // What was held does not belong to what Redis holds: it is of a time that Redis has lost.
        const last = this.#held.at(-1)?.position;
        if (last) this.position = await this.#context.feed.fork(this.name, last);
        if (this.#closed) return;
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
    const page = await this.past.read(since.offset);
    if (this.#closed) return false;
    const lost = lossIn(since, page);
    if (lost) {
      const { feed } = this.#context;
      const forked = lost === "forked" ? await feed.fork(this.name, since) : undefined;
      if (this.#closed) return false;
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
    if (this.#closed) return;
    this.#context.counts.continuityLost.add(reason);
    for (const edge of this.#context.edges) edge.lost(this.name, this.position, reason);
  }
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
