/** What is to happen later, unless all of it is called off. */
export class Timers {
  readonly #timers = new Set<NodeJS.Timeout>();

  later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}
