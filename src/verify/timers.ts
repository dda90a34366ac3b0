/** What is to happen later, unless all of it is called off. */
export class Timers {
  /** And what happens instead then. */
  readonly #timers = new Map<NodeJS.Timeout, () => void>();

  later(ms: number, act: () => void, calledOff = () => {}): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.set(timer, calledOff);
  }

  /** Ends sooner when it is called off. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.later(ms, resolve, resolve));
  }

  stop(): void {
    for (const [timer, calledOff] of this.#timers) {
      clearTimeout(timer);
      calledOff();
    }
    this.#timers.clear();
  }
}
