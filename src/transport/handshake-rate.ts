/**
 * So many in any second, whenever it begins. A token bucket would let twice as many through: a full bucket, and what
 * flows in meanwhile.
 */
export class HandshakeRate {
  /** 0: no limit. */
  readonly perSecond: number;
  /** When the last ones passed, as a ring: the next place holds the oldest. */
  readonly #passed: Float64Array;
  #next = 0;

  constructor(perSecond: number) {
    this.perSecond = perSecond;
    this.#passed = new Float64Array(perSecond).fill(Number.NEGATIVE_INFINITY);
  }

  /** Whether one more may pass now. */
  take(): boolean {
    if (this.perSecond === 0) return true;
    const now = performance.now();
    if (now - (this.#passed[this.#next] as number) < 1_000) return false;
    this.#passed[this.#next] = now;
    this.#next = (this.#next + 1) % this.perSecond;
    return true;
  }
}
