import type { Channel } from "./channel.ts";

const ROUND_S = 10;
/** A node with more channels than ten seconds' worth takes longer for a round, and asks no more of Redis. */
const MOST_PER_SECOND = 500;
/** The newest event may be on its way: its position can be known before it is here. */
const ON_ITS_WAY_MS = 1_000;

/**
 * Asks in turn where each channel is. Should the way in drop an event while it stands, the next one of the channel shows
 * it; this shows it where no next one comes.
 */
export class Rounds {
  readonly #channels: ReadonlyMap<string, Channel>;
  readonly #turns = this.#inTurn();
  #timer: NodeJS.Timeout | undefined;

  constructor(channels: ReadonlyMap<string, Channel>) {
    this.#channels = channels;
  }

  start(): void {
    this.#timer = setInterval(() => this.#ask(), 1_000);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #ask(): void {
    const count = Math.min(MOST_PER_SECOND, Math.ceil(this.#channels.size / ROUND_S));
    for (let i = 0; i < count; i++) {
      // While Redis is away nothing can be asked; when it is back, `interrupted` asks for all.
      this.#turns
        .next()
        .value.check(ON_ITS_WAY_MS)
        .catch(() => {});
    }
  }

  /**
   * Never ends while there are channels. A round is of those that there are when it begins: where others come and go
   * without a rest, one that took in what came since would not come back to those that stay.
   */
  *#inTurn(): Generator<Channel, never> {
    for (;;) {
      for (const name of [...this.#channels.keys()]) {
        const channel = this.#channels.get(name);
        if (channel) yield channel;
      }
    }
  }
}
