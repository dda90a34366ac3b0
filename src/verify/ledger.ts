import type { Position } from "../protocol/position.ts";

/** Not known yet: a client that listened must get the event, or be told. */
export const OPEN = 0;
/** Nothing is owed to that client, or it has been counted. */
export const EXCUSED = -1;
/** The client was told that this event, with others, is gone for it. */
export const TOLD = -2;

/**
 * What became of an event at one client: OPEN, EXCUSED, TOLD, or from 1 on the generation of the client's claim in which
 * it got the event.
 */
export type Fate = number;

/** One event, as far as anybody knows of it. */
export interface Entry {
  readonly position: Position;
  /** As JSON. */
  readonly data: string;
  /** Milliseconds of the run's clock. Acknowledged, first heard of, and last delivered to anybody. */
  ackedAt: number | undefined;
  readonly knownAt: number;
  deliveredAt: number;
  /** By the index of the claim. */
  readonly fates: Int32Array;
  /** How many fates are OPEN. */
  open: number;
  /** Another event with the same epoch and offset: the history has forked. */
  rival: Entry | undefined;
  /** Another event with the same data: one publication has got two ids. */
  twin: Entry | undefined;
}

/** Who gets an event that turns up. */
export interface Audience {
  readonly size: number;
  fateAtBirth(index: number, position: Position): Fate;
}

/**
 * The events of one channel that are of interest still. One that all clients have passed is kept a while, so that it
 * is known again when it comes a second time, and then forgotten.
 */
export class Ledger {
  readonly #audience: Audience;
  readonly #keep: number;
  /** By epoch and offset, oldest first. */
  readonly #entries = new Map<string, Entry>();
  /** By data, the newest entry of the run's own. */
  readonly #publications = new Map<string, Entry>();
  /** By epoch: up to which offset events may have been forgotten. */
  readonly #forgotten = new Map<string, number>();
  #sweepAt: number;
  /** The epoch that the node spoke of last. */
  latestEpoch = "";

  /** @param keep events that are kept after everybody has passed them */
  constructor(audience: Audience, keep: number) {
    this.#audience = audience;
    this.#keep = keep;
    this.#sweepAt = 2 * keep;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Oldest first, rivals behind each other. */
  *entries(): Generator<Entry> {
    for (const first of this.#entries.values()) yield* variants(first);
  }

  /** Those with an epoch and offset in common, one list for each place that is contested. */
  *contested(): Generator<Entry[]> {
    for (const first of this.#entries.values()) if (first.rival) yield [...variants(first)];
  }

  find(position: Position): Entry | undefined {
    for (const entry of variants(this.#entries.get(place(position.epoch, position.offset))))
      if (entry.position.check === position.check) return entry;
    return undefined;
  }

  /** Those known of a range, both ends included. */
  *between(epoch: string, from: number, to: number): Generator<Entry> {
    if (to - from < this.#entries.size) {
      for (let offset = from; offset <= to; offset++)
        yield* variants(this.#entries.get(place(epoch, offset)));
      return;
    }
    for (const entry of this.entries()) {
      const { position } = entry;
      if (position.epoch === epoch && position.offset >= from && position.offset <= to) yield entry;
    }
  }

  /** Whether an event may have been forgotten: then everybody has passed it. */
  isForgotten({ epoch, offset }: Position): boolean {
    return offset <= (this.#forgotten.get(epoch) ?? 0);
  }

  /** All events with this data. */
  *published(data: string): Generator<Entry> {
    for (let entry = this.#publications.get(data); entry; entry = entry.twin) yield entry;
  }

  /** The entry of an event, new or known. @param isOwn what it says tells it from all others */
  record(position: Position, data: string, now: number, isOwn = true): Entry {
    const known = this.find(position);
    if (known) return known;
    const { size } = this.#audience;
    // One that was forgotten comes to a client that was away: what the others are owed has been judged.
    const fateOf = (i: number) =>
      this.isForgotten(position) ? EXCUSED : this.#audience.fateAtBirth(i, position);
    const fates = Int32Array.from({ length: size }, (_, i) => fateOf(i));
    const entry: Entry = {
      position,
      data,
      ackedAt: undefined,
      knownAt: now,
      deliveredAt: Number.NEGATIVE_INFINITY,
      fates,
      open: fates.reduce((sum, fate) => sum + (fate === OPEN ? 1 : 0), 0),
      rival: undefined,
      twin: isOwn ? this.#publications.get(data) : undefined,
    };
    this.#insert(entry);
    if (isOwn) this.#publications.set(data, entry);
    return entry;
  }

  setFate(entry: Entry, index: number, fate: Fate): void {
    if (entry.fates[index] === OPEN) entry.open--;
    if (fate === OPEN) entry.open++;
    entry.fates[index] = fate;
  }

  /**
   * Forgets the oldest of those that nobody waits for, once there are many.
   * @param contested is asked to judge what is forgotten while contested
   */
  sweep(contested: (rivals: readonly Entry[]) => void): void {
    if (this.#entries.size < this.#sweepAt) return;
    for (const [key, first] of this.#entries) {
      if (this.#entries.size <= this.#keep) break;
      const all = [...variants(first)];
      if (all.some(({ open }) => open > 0)) continue;
      if (all.length > 1) contested(all);
      this.#entries.delete(key);
      for (const entry of all) this.#forget(entry);
    }
    this.#sweepAt = Math.max(2 * this.#keep, 2 * this.#entries.size);
  }

  #insert(entry: Entry): void {
    const key = place(entry.position.epoch, entry.position.offset);
    let last = this.#entries.get(key);
    if (!last) return void this.#entries.set(key, entry);
    while (last.rival) last = last.rival;
    last.rival = entry;
  }

  #forget({ position: { epoch, offset }, data }: Entry): void {
    this.#publications.delete(data);
    const known = this.#forgotten.get(epoch) ?? 0;
    this.#forgotten.delete(epoch); // the newest epoch stands last
    this.#forgotten.set(epoch, Math.max(known, offset));
    const [oldest] = this.#forgotten.keys();
    if (this.#forgotten.size > MAX_EPOCHS && oldest !== undefined) this.#forgotten.delete(oldest);
  }
}

const MAX_EPOCHS = 64;

function place(epoch: string, offset: number): string {
  return `${epoch}:${offset}`;
}

function* variants(first: Entry | undefined): Generator<Entry> {
  for (let entry = first; entry; entry = entry.rival) yield entry;
}
