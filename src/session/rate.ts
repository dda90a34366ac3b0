/** A token bucket in process: a Redis round trip per frame would cost more than the frame. */
export class Rate {
  readonly #perSecond: number;
  readonly #burst: number;
  #left: number;
  #at = performance.now();
  /** Refused since the bucket was last full. */
  refused = 0;

  /** @param perSecond 0: no limit @param burst how many may come at once after a quiet time */
  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#left = burst;
  }

  /** Whether one more may pass now. */
  take(): boolean {
    if (this.#perSecond === 0) return true;
    const now = performance.now();
    this.#left = Math.min(this.#burst, this.#left + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
    if (this.#left === this.#burst) this.refused = 0;
    if (this.#left < 1) {
      this.refused++;
      return false;
    }
    this.#left--;
    return true;
  }

  /** For something that passed and costs as much as `more` others: on credit, paid back before the next may pass. */
  charge(more: number): void {
    this.#left -= more;
  }
}
