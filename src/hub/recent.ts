import { type Position, samePosition } from "../protocol/position.ts";
import { before, follows, type PlacedEvent } from "./continuity.ts";
import type { EncodedEvent } from "./encoded-event.ts";
import type { Keeps } from "./feed.ts";

/** What an event costs beside its bytes. */
const OVERHEAD_BYTES = 300;

/** What all channels of a node hold together. The channel that has been quiet for longest gives up its oldest first. */
export class RecentBudget {
  bytes = 0;
  readonly #max: number;
  readonly #owners = new Set<Recent>();

  constructor(maxBytes: number) {
    this.#max = maxBytes;
  }

  /** Of its newest event, which may be the very one that has to go. */
  charge(owner: Recent, bytes: number): void {
    this.bytes += bytes;
    this.#owners.delete(owner);
    this.#owners.add(owner);
    if (this.bytes <= this.#max) return;
    for (const quiet of this.#owners) {
      while (this.bytes > this.#max && !quiet.isEmpty) quiet.dropOldest();
      if (this.bytes <= this.#max) return;
    }
  }

  /** What is empty holds nothing. */
  forget(owner: Recent): void {
    this.#owners.delete(owner);
  }
}

interface Kept {
  readonly event: PlacedEvent;
  readonly bytes: number;
  /** `Date.now` of its arrival here, or of a later one's: it was published before. */
  readonly at: number;
}

/** The last events of one channel as this node delivered them, without a gap: most clients that come back want no more. */
export class Recent {
  readonly #budget: RecentBudget;
  readonly #keeps: Keeps;
  #kept: Kept[] = [];
  /** In `#kept`: those in front of it are gone. */
  #first = 0;

  constructor(budget: RecentBudget, keeps: Keeps) {
    this.#budget = budget;
    this.#keeps = keeps;
  }

  /** What comes behind the newest one. */
  push(event: EncodedEvent): void {
    const newest = kept(event);
    this.#kept.push(newest);
    this.#budget.charge(this, newest.bytes);
    if (this.#size > this.#keeps.size) this.dropOldest();
  }

  /**
   * Up to `limit` events behind a position, none when it is the newest; undefined when not all that follow are held.
   */
  behind(since: Position, limit: number): readonly EncodedEvent[] | undefined {
    this.#expire();
    const first = this.#kept[this.#first]?.event;
    if (!first) return undefined;
    const index = this.#first + since.offset + 1 - first.position.offset;
    const next = this.#kept[index]?.event;
    if (index < this.#first || !next || !follows(next, since)) return undefined;
    return this.#kept.slice(index, index + limit).map(({ event }) => event);
  }

  /**
   * What comes in front of those that are held, or up to the newest when none is; what does not reach there is ignored.
   */
  prepend(events: readonly EncodedEvent[], newest: Position): void {
    const first = this.#kept[this.#first]?.event;
    const isLast = (at: Position) => (first ? follows(first, at) : samePosition(at, newest));
    const end = events.findIndex(({ position }) => position && isLast(position)) + 1;
    const room = this.#keeps.size - this.#size;
    // Published before what is held was, so past their time no later.
    const at = this.#kept[this.#first]?.at;
    const older = events.slice(Math.max(0, end - room), end).map((event) => kept(event, at));
    if (older.length === 0) return;
    this.#kept = [...older, ...this.#kept.slice(this.#first)];
    this.#first = 0;
    this.#budget.charge(
      this,
      older.reduce((sum, { bytes }) => sum + bytes, 0),
    );
  }

  holds(position: Position): boolean {
    const event = this.at(position.offset);
    return event !== undefined && samePosition(event.position, position);
  }

  /** The event with an offset, when it is held. */
  at(offset: number): PlacedEvent | undefined {
    const first = this.#kept[this.#first]?.event.position;
    return first && this.#kept[this.#first + offset - first.offset]?.event;
  }

  /** The position `count` events before the newest one; undefined when fewer are held. */
  back(count: number): Position | undefined {
    this.#expire();
    const event = this.#kept[this.#kept.length - count]?.event;
    if (!event || count > this.#size || count === 0) return undefined;
    return before(event);
  }

  dropOldest(): void {
    const oldest = this.#kept[this.#first];
    if (!oldest) return;
    this.#budget.bytes -= oldest.bytes;
    this.#kept[this.#first++] = undefined as unknown as Kept;
    if (this.#first > 64 && this.#first * 2 > this.#kept.length) {
      this.#kept = this.#kept.slice(this.#first);
      this.#first = 0;
    }
    if (this.isEmpty) this.#budget.forget(this);
  }

  clear(): void {
    while (!this.isEmpty) this.dropOldest();
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  get #size(): number {
    return this.#kept.length - this.#first;
  }

  #expire(): void {
    const oldest = Date.now() - this.#keeps.timeMs;
    while ((this.#kept[this.#first]?.at ?? oldest) < oldest) this.dropOldest();
  }
}

function kept(event: EncodedEvent, at = Date.now()): Kept {
  const bytes = event.text.length + (event.binary?.length ?? 0) + OVERHEAD_BYTES;
  return { event: event as PlacedEvent, bytes, at };
}
