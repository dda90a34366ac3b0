import { connect, type Socket } from "node:net";
import { channelName, eventData, FIRST_NUMBER, wholeEvent } from "./events.ts";
import type { FanoutJob } from "./job.ts";
import { Latencies } from "./latencies.ts";
import { redisCommand } from "./resp.ts";

type Plan = Pick<FanoutJob, "target" | "channels" | "eventsPerSecond" | "burst"> & {
  /** Whether this event is published by `FCALL tidegate_publish` instead of `PUBLISH`. */
  withHistory?: (place: number) => boolean;
};

/**
 * Publishes through Redis by the clock, whatever happens to earlier events (an open loop): a server that falls behind
 * is seen as latency and cannot slow its own load down.
 */
export class Publisher {
  readonly #job: Plan;
  readonly #redis: Socket;
  #total: number;
  readonly #lag = new Latencies();
  readonly #onPublish: (sent: number) => void;
  #startMs = Number.POSITIVE_INFINITY;
  #sent = 0;
  #nextDueMs = Number.POSITIVE_INFINITY;
  #finish: () => void = () => {};

  /** `onPublish` hears before each event how many went before it, and once more after the last. */
  constructor(job: Plan, total: number, onPublish: (sent: number) => void = () => {}) {
    this.#job = job;
    this.#total = total;
    this.#onPublish = onPublish;
    this.#redis = connect({ port: job.target.redisPort, host: "127.0.0.1", noDelay: true });
    this.#redis.on("data", (reply) => {
      if (reply[0] === 0x2d) throw new Error(`Redis: ${reply}`);
    });
  }

  get sent(): number {
    return this.#sent;
  }

  get lag(): Latencies {
    return this.#lag;
  }

  /** The instant at which event `number` should have been published. */
  intendedMs(number: number): number {
    const { burst, eventsPerSecond } = this.#job;
    const place = number - FIRST_NUMBER;
    return this.#startMs + ((place - (place % burst)) * 1000) / eventsPerSecond;
  }

  /** Resolves when the last event is out. */
  run(): Promise<void> {
    this.#startMs = performance.now() + 10;
    this.#nextDueMs = this.#startMs;
    this.#arm();
    return new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  /** Publishes what is due. Called from the readers too: a long round of reads must not delay the schedule. */
  publishDue(nowMs: number): void {
    if (nowMs < this.#nextDueMs) return;
    let commands = "";
    while (this.#sent < this.#total && nowMs >= this.#nextDueMs) {
      this.#onPublish(this.#sent);
      this.#lag.record(nowMs - this.#nextDueMs);
      commands += this.#command(this.#sent);
      this.#sent++;
      this.#nextDueMs = this.intendedMs(FIRST_NUMBER + this.#sent);
    }
    this.#redis.write(commands, "latin1");
    if (this.#sent === this.#total) {
      this.#nextDueMs = Number.POSITIVE_INFINITY;
      this.#onPublish(this.#total);
      this.#finish();
    }
  }

  /** No more than went out already. */
  stop(): void {
    this.#total = this.#sent;
    this.#nextDueMs = Number.POSITIVE_INFINITY;
    this.#finish();
  }

  close(): void {
    this.#redis.destroy();
  }

  #arm(): void {
    const nowMs = performance.now();
    this.publishDue(nowMs);
    if (this.#sent === this.#total) return;
    setTimeout(() => this.#arm(), Math.max(1, Math.floor(this.#nextDueMs - nowMs)));
  }

  #command(place: number): string {
    const channel = channelName(place % this.#job.channels);
    const number = FIRST_NUMBER + place;
    const payload = this.#job.target.wrapsData ? eventData(number) : wholeEvent(channel, number);
    const name = `tidegate:${channel}`;
    return this.#job.withHistory?.(place)
      ? redisCommand("FCALL", "tidegate_publish", "1", name, "", payload)
      : redisCommand("PUBLISH", name, payload);
  }
}
