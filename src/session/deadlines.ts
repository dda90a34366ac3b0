/** Something that has to happen at a time, unless it is taken back. */
export interface Mortal {
  onDeadline(): void;
}

/**
 * One timer for all sessions: a timer each would cost more memory than the session's subscription. Seconds are
 * exact enough for the ends of tokens.
 */
export class Deadlines {
  readonly #bySecond = new Map<number, Set<Mortal>>();
  #passed = second(Date.now());
  #timer: NodeJS.Timeout | undefined;

  start(): void {
    this.#timer = setInterval(() => this.#pass(second(Date.now())), 1_000);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** @param at milliseconds since the epoch @returns what `cancel` takes */
  set(mortal: Mortal, at: number): number {
    const due = Math.max(second(at) + 1, this.#passed + 1);
    const mortals = this.#bySecond.get(due);
    if (mortals) mortals.add(mortal);
    else this.#bySecond.set(due, new Set([mortal]));
    return due;
  }

  cancel(mortal: Mortal, due: number): void {
    const mortals = this.#bySecond.get(due);
    if (mortals?.delete(mortal) && mortals.size === 0) this.#bySecond.delete(due);
  }

  #pass(now: number): void {
    // A clock that jumps far ahead must not make this loop long: then look at what there is instead.
    const due =
      now - this.#passed > this.#bySecond.size ? [...this.#bySecond.keys()] : range(this.#passed + 1, now);
    this.#passed = now; // also when the clock was set back
    for (const at of due) {
      if (at > now) continue;
      const mortals = this.#bySecond.get(at);
      for (const mortal of mortals ?? []) mortal.onDeadline();
      this.#bySecond.delete(at);
    }
  }
}

function second(ms: number): number {
  return Math.floor(ms / 1000);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
}
