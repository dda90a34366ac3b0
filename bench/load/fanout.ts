import { setTimeout as sleep } from "node:timers/promises";
import { Crowd } from "./crowd.ts";
import { FIRST_NUMBER } from "./events.ts";
import type { FanoutJob } from "./job.ts";
import { Latencies } from "./latencies.ts";
import { Publisher } from "./publisher.ts";
import type { FanoutResult } from "./result.ts";
import { Window } from "./window.ts";

const STILL_MS = 5_000;

/** Publishes at a fixed rate to a crowd that listens, and measures server CPU and latency in a window after a warm-up. */
export async function runFanout(job: FanoutJob, ready: () => Promise<void>): Promise<FanoutResult> {
  const wholeBursts = (ms: number): number =>
    Math.ceil((ms * job.eventsPerSecond) / 1000 / job.burst) * job.burst;
  const first = wholeBursts(job.warmupMs);
  const total = first + wholeBursts(job.windowMs);
  const latencies = new Latencies();
  let frameBytes = 0;

  const crowd: Crowd = new Crowd(job.target, job.channels, (number, bytes, nowMs) => {
    if (number >= FIRST_NUMBER + first) latencies.record(nowMs - publisher.intendedMs(number));
    frameBytes = bytes;
    publisher.publishDue(nowMs);
  });
  const window = new Window(job.target, () => crowd.received);
  // The window's edges are taken at the moment of publishing, so that time, CPU and deliveries share them.
  const publisher = new Publisher(job, total, (sent) => {
    if (sent === first) window.open();
    if (sent === total) window.close();
  });

  await crowd.open(job.sockets);
  await ready();
  await publisher.run();
  const expected = expectedDeliveries(job, total);
  await untilStill(crowd, expected);
  const { done: deliveries, ...usage } = window.usage;
  const result: FanoutResult = {
    ...usage,
    deliveries,
    p50Ms: latencies.percentile(0.5),
    p99Ms: latencies.percentile(0.99),
    maxMs: latencies.maxMs,
    lagP99Ms: publisher.lag.percentile(0.99),
    bursts: total / job.burst,
    expected,
    received: crowd.received,
    disordered: crowd.disordered,
    closed: crowd.closed,
    frameBytes,
  };
  publisher.close();
  crowd.drop();
  return result;
}

function expectedDeliveries(job: FanoutJob, total: number): number {
  let expected = 0;
  for (let channel = 0; channel < job.channels; channel++) {
    const listeners = Math.ceil((job.sockets - channel) / job.channels);
    const events = Math.ceil((total - channel) / job.channels);
    expected += Math.max(0, listeners) * Math.max(0, events);
  }
  return expected;
}

/** Waits for the last deliveries, until nothing comes any more. */
export async function untilStill(crowd: Crowd, expected: number): Promise<void> {
  let last = -1;
  let stillMs = 0;
  while (crowd.received < expected && stillMs < STILL_MS) {
    stillMs = crowd.received === last ? stillMs + 20 : 0;
    last = crowd.received;
    await sleep(20);
  }
}
