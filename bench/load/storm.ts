import { monitorEventLoopDelay } from "node:perf_hooks";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { Connection, type ConnectionEvents } from "./connection.ts";
import { channelName } from "./events.ts";
import type { StormJob } from "./job.ts";
import type { StormResult } from "./result.ts";
import { tokenSigner } from "./token.ts";
import { upgradeRequest } from "./upgrade-request.ts";

// Half of what the node accepts, so that the crowd is there before the storm without having been one itself.
const FILL_EACH_MS = 20;
const FILL_AT_ONCE = 20;
/** New connections between two looks at what has arrived: a generator that does not look stamps answers late. */
const AT_ONCE = 50;
const PATIENCE_MS = 60_000;
const SECOND_MS = 1_000;

/** A crowd that is cut off all at once and comes back. */
export async function runStorm(job: StormJob, ready: () => Promise<void>): Promise<StormResult> {
  const storm = new Storm(job);
  await storm.fill();
  await sleep(job.settleMs);
  await ready();
  await eventLoopLag(job.metricsUrl); // which begins it anew
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const backMs = await storm.strike();
  delay.disable();
  return {
    ...storm.result,
    backMs,
    ...(await eventLoopLag(job.metricsUrl)),
    generatorLagMs: delay.max / 1e6,
  };
}

class Storm implements ConnectionEvents {
  readonly #job: StormJob;
  readonly #requests: Buffer[];
  #connections: Connection[] = [];
  #acceptedAtMs: number[] = [];
  #subscribed = 0;
  #attempts = 0;
  #refused = 0;
  #failed = 0;
  #reconnect = { min: 0, max: 0 };
  #complaint: string | null = null;
  #filled = false;

  constructor(job: StormJob) {
    const sign = tokenSigner(job.target.secret ?? "");
    this.#job = job;
    this.#requests = Array.from({ length: job.sockets }, (_, index) =>
      upgradeRequest([channelName(index % job.channels)], sign(index)),
    );
  }

  get result() {
    return {
      peakPerSecond: peak(this.#acceptedAtMs),
      attempts: this.#attempts,
      refused: this.#refused,
      failed: this.#failed,
      reconnect: this.#reconnect,
    };
  }

  async fill(): Promise<void> {
    for (let index = 0; index < this.#job.sockets; index++) {
      this.#open(index);
      if (index % FILL_AT_ONCE === 0) await sleep(FILL_EACH_MS);
    }
    await this.#untilAllSubscribed();
    this.#filled = true;
  }

  /** Milliseconds until all were back. */
  async strike(): Promise<number> {
    const startMs = performance.now();
    this.#subscribed = 0;
    this.#attempts = 0;
    this.#acceptedAtMs = [];
    for (const connection of this.#connections) connection.drop();
    // The worst clients there are: the first try comes without any wait.
    for (let index = 0; index < this.#job.sockets; index++) {
      this.#open(index);
      if (index % AT_ONCE === 0) await nextTurn();
    }
    await this.#untilAllSubscribed();
    return performance.now() - startMs;
  }

  onText(_connection: Connection, buffer: Buffer, start: number, length: number, nowMs: number): void {
    const frame = JSON.parse(buffer.toString("utf8", start, start + length));
    if (frame.type === "welcome") {
      this.#acceptedAtMs.push(nowMs);
      this.#reconnect = frame.reconnect;
    } else if (frame.type === "subscribed") this.#subscribed++;
    else this.#complaint ??= JSON.stringify(frame);
  }

  onEnd(connection: Connection, reason: string): void {
    connection.drop();
    if (!this.#filled || connection.subscribed > 0) this.#complaint ??= reason;
    else if (reason.startsWith("refused: HTTP/1.1 429")) this.#refused++;
    else if (reason.startsWith("refused")) this.#complaint ??= reason;
    else this.#failed++;
    const { min, max } = this.#reconnect;
    setTimeout(() => this.#open(connection.index), min + Math.random() * (max - min));
  }

  #open(index: number): void {
    this.#attempts++;
    const request = this.#requests[index] as Buffer;
    this.#connections[index] = new Connection(index, this.#job.target.port, request, this);
  }

  async #untilAllSubscribed(): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (this.#subscribed < this.#job.sockets) {
      if (this.#complaint !== null) throw new Error(this.#complaint);
      if (performance.now() > deadline) {
        throw new Error(`${this.#subscribed} of ${this.#job.sockets} are there after ${PATIENCE_MS} ms`);
      }
      await sleep(2);
    }
  }
}

/** Most of these instants, which are in order, within any one second. */
function peak(instantsMs: number[]): number {
  let most = 0;
  let first = 0;
  for (const [last, atMs] of instantsMs.entries()) {
    while ((instantsMs[first] as number) <= atMs - SECOND_MS) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

/** Since it was last asked. */
async function eventLoopLag(metricsUrl: string): Promise<{ lagP99Ms: number; lagMaxMs: number }> {
  const text = await (await fetch(metricsUrl)).text();
  const milliseconds = (name: string): number =>
    Number(new RegExp(`^nodejs_eventloop_lag_${name}_seconds (\\S+)`, "m").exec(text)?.[1]) * 1000;
  return { lagP99Ms: milliseconds("p99"), lagMaxMs: milliseconds("max") };
}
