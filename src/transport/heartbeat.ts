/** One connection to be pinged. */
export interface Beating {
  ping(): void;
  /** Whether the newest ping is unanswered. */
  readonly awaitsPong: boolean;
  onSilence(): void;
}

/**
 * A timer wheel: one timer for all connections, each pinged once a turn, phases spread over its slots. The one ping
 * of uWebSockets.js would not do: it comes after 30 s of silence, and a client that chatters is never asked.
 *
 * Time is counted in ticks and not by the clock: a process that was stopped for a while goes on where it was,
 * instead of finding everybody overdue before it has read their answers.
 */
export class Heartbeat<T extends Beating> {
  readonly #slots: Set<T>[];
  readonly #patience: number;
  #size = 0;
  #position = 0;
  #next = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Both in seconds: between two pings of a connection, and for how long a pong may take (less than that). */
  constructor(interval: number, patience: number) {
    this.#slots = Array.from({ length: interval }, () => new Set());
    this.#patience = patience;
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), 1_000);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  get size(): number {
    return this.#size;
  }

  /** @returns the slot, for `remove` */
  add(beating: T): number {
    // Round robin: a thousand clients that come in one second are not pinged in one.
    const slot = this.#next++ % this.#slots.length;
    this.#at(slot).add(beating);
    this.#size++;
    return slot;
  }

  remove(beating: T, slot: number): void {
    if (this.#at(slot).delete(beating)) this.#size--;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const slot of this.#slots) yield* slot;
  }

  #tick(): void {
    this.#position = (this.#position + 1) % this.#slots.length;
    const pingedThen = this.#at((this.#position - this.#patience + this.#slots.length) % this.#slots.length);
    for (const beating of pingedThen) if (beating.awaitsPong) beating.onSilence();
    for (const beating of this.#at(this.#position)) beating.ping();
  }

  #at(slot: number): Set<T> {
    return this.#slots[slot] as Set<T>;
  }
}
