import type { Redis } from "ioredis";

const INTERVAL_MS = 2_000;
/** Probes that may stay unanswered before the connections are made anew. */
const MAX_MISSED = 2;

export interface ProbeListener {
  /** A probe came back: events travel both ways. */
  heard(): void;
  /** They stopped coming back; the connections are being made anew. */
  silent(): void;
}

/**
 * A message to ourselves by the way that events go, every two seconds. A subscriber connection can fall silent
 * while all looks green (after a failover, behind a black hole): the most reported fault of such gateways. What
 * does not come back restarts both connections, which asks Sentinel anew who the master is.
 */
export class Probe {
  roundTripMs = 0;
  /** When the newest probe came back, as `performance.now`. */
  heardAt = Number.NEGATIVE_INFINITY;
  readonly #channel: string;
  readonly #commands: Redis;
  readonly #subscriber: Redis;
  readonly #listener: ProbeListener;
  #timer: NodeJS.Timeout | undefined;
  #number = 0;
  #sentAt = 0;
  #missed = 0;

  constructor(channel: string, commands: Redis, subscriber: Redis, listener: ProbeListener) {
    this.#channel = channel;
    this.#commands = commands;
    this.#subscriber = subscriber;
    this.#listener = listener;
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** On a connection that is new, before anything else there: a long resubscription must not look like silence. */
  async subscribe(): Promise<void> {
    await this.#subscriber.subscribe(this.#channel);
    this.#missed = 0;
  }

  receive(payload: Buffer): void {
    // One that was still on its way when a connection broke proves nothing.
    if (payload.toString() !== String(this.#number) || !this.#connected) return;
    this.heardAt = performance.now();
    this.roundTripMs = this.heardAt - this.#sentAt;
    this.#missed = 0;
    this.#listener.heard();
  }

  send(): void {
    if (!this.#connected) return; // counted as missed
    this.#sentAt = performance.now();
    this.#commands.publish(this.#channel, String(++this.#number)).catch(() => {}); // likewise
  }

  get #connected(): boolean {
    return this.#commands.status === "ready" && this.#subscriber.status === "ready";
  }

  /** Makes both connections anew. */
  restart(): void {
    this.#missed = 0;
    this.#number++; // an answer that comes now comes on a connection that is given up, ready as it still calls itself
    this.#listener.silent();
    // Those that are connecting are at it already.
    for (const redis of [this.#commands, this.#subscriber]) {
      if (redis.status === "ready") redis.disconnect(true);
    }
  }

  #tick(): void {
    if (++this.#missed <= MAX_MISSED) this.send();
    else this.restart();
  }
}
