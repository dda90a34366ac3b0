/** Those that wait for a client to take what it was sent. */
export class Drains {
  readonly #waiting = new Set<() => void>();

  /** Resolves with the next `wake`; false: there was none within that time. */
  next(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(wake);
        resolve(false);
      }, withinMs);
      this.#waiting.add(wake);
    });
  }

  /** It has taken some, or is gone. */
  wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}
