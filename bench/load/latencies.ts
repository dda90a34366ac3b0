const STEP_MS = 0.1;
const STEPS = 300_000;

/**
 * Latencies from 0 to 30 s in steps of 0.1 ms. A plain array: `createHistogram().record` crosses into C++ for each
 * value, and at two million deliveries a second that alone would fill the generator's core.
 */
export class Latencies {
  readonly #counts = new Uint32Array(STEPS);
  #total = 0;
  #max = 0;

  record(ms: number): void {
    const step = ms <= 0 ? 0 : (ms / STEP_MS) | 0;
    const index = step < STEPS ? step : STEPS - 1;
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#total++;
    if (ms > this.#max) this.#max = ms;
  }

  get maxMs(): number {
    return this.#max;
  }

  percentile(share: number): number {
    const wanted = this.#total * share;
    let seen = 0;
    for (let step = 0; step < STEPS; step++) {
      seen += this.#counts[step] as number;
      if (seen >= wanted && seen > 0) return (step + 1) * STEP_MS;
    }
    return 0;
  }
}
