/** Knows how many subscribers each channel has, over all nodes. */
export interface AudienceRegister {
  /** Says how many each has on this node; 0: none any more. @throws {RequestError} backplane_unavailable */
  countSubscribers(counts: readonly (readonly [channel: string, count: number])[]): Promise<void>;
}

/** From the first change to the report of it: a count may be so old. */
const PAUSE_MS = 2_000;
/** Channels in one report. */
const BATCH = 1_000;
/** All are said anew so often, that the register need not keep what nobody speaks of. */
const RENEW_MS = 600_000;

/** Reports how many subscribers channels have here: what has changed, some seconds later, in batches. */
export class Audience {
  readonly #register: AudienceRegister;
  readonly #count: (channel: string) => number;
  readonly #all: () => Iterable<string>;
  readonly #changed = new Set<string>();
  #pause: NodeJS.Timeout | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #stopped = false;

  /** @param count subscribers of a channel here @param all channels that have any */
  constructor(register: AudienceRegister, count: (channel: string) => number, all: () => Iterable<string>) {
    this.#register = register;
    this.#count = count;
    this.#all = all;
  }

  start(): void {
    this.#renewal = setInterval(() => this.renew(), RENEW_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#renewal);
    clearTimeout(this.#pause);
  }

  changed(channel: string): void {
    if (this.#stopped) return;
    this.#changed.add(channel);
    this.#pause ??= setTimeout(() => void this.#report(), PAUSE_MS);
  }

  /** The register may have forgotten. */
  renew(): void {
    for (const channel of this.#all()) this.changed(channel);
  }

  async #report(): Promise<void> {
    while (this.#changed.size > 0) {
      const batch = [...this.#changed].slice(0, BATCH);
      for (const channel of batch) this.#changed.delete(channel);
      try {
        await this.#register.countSubscribers(batch.map((channel) => [channel, this.#count(channel)]));
      } catch {
        for (const channel of batch) this.#changed.add(channel); // with what is true by then
        break;
      }
    }
    this.#pause = undefined;
    const [waiting] = this.#changed;
    if (waiting !== undefined) this.changed(waiting);
  }
}
