import type { Redis } from "ioredis";

const INTERVAL_MS = 2_000;
/** Probes that may stay unanswered before the connections are made anew. */
const MAX_MISSED = 2;

/**
 * A message to ourselves by the way that events go, every two seconds. A subscriber connection can fall silent
 * while all looks green (after a failover, behind a black hole): the most reported fault of such gateways. What
 * does not come back restarts both connections, which asks Sentinel anew who the master is.
 */
export class Probe {
  roundTripMs = 0;
  readonly #channel: string;
  readonly #commands: Redis;
  readonly #subscriber: Redis;
  readonly #turn: (up: boolean) => void;
  #timer: NodeJS.Timeout | undefined;
  #number = 0;
  #sentAt = 0;
  #missed = 0;

  /** @param turn told `true` for each probe that came back, `false` when they stopped */
  constructor(channel: string, commands: Redis, subscriber: Redis, turn: (up: boolean) => void) {
    this.#channel = channel;
    this.#commands = commands;
    this.#subscriber = subscriber;
    this.#turn = turn;
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** On a connection that is new; sends the first one at once. */
  async subscribe(): Promise<void> {
    await this.#subscriber.subscribe(this.#channel);
    this.#missed = 0;
    this.send();
  }

  receive(payload: Buffer): void {
    if (payload.toString() !== String(this.#number)) return;
    this.roundTripMs = performance.now() - this.#sentAt;
    this.#missed = 0;
    this.#turn(true);
  }

  #tick(): void {
    if (++this.#missed > MAX_MISSED) {
      this.#missed = 0;
      this.#turn(false);
      // Those that are connecting are at it already.
      for (const redis of [this.#commands, this.#subscriber])
        if (redis.status === "ready") redis.disconnect(true);
      return;
    }
    this.send();
  }

  /** Does nothing while a connection is missing: that counts as missed. */
  send(): void {
    if (this.#commands.status !== "ready" || this.#subscriber.status !== "ready") return;
    this.#sentAt = performance.now();
    this.#commands.publish(this.#channel, String(++this.#number)).catch(() => {}); // counted as missed
  }
}
