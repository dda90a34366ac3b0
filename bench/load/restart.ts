import { setTimeout as sleep } from "node:timers/promises";
import { FIRST_NUMBER } from "./events.ts";
import type { RestartJob } from "./job.ts";
import { Latencies } from "./latencies.ts";
import { Movers } from "./movers.ts";
import { Publisher } from "./publisher.ts";
import type { RestartResult } from "./result.ts";

/** More than three drains take. */
const LONGEST_MS = 300_000;
const STRAGGLERS_MS = 3_000;

/** Publishes at a steady rate to clients that obey `closing`, before and while the nodes are restarted. */
export async function runRestart(job: RestartJob, ready: () => Promise<void>): Promise<RestartResult> {
  const steady = new Latencies();
  const restarting = new Latencies();
  const most = Math.ceil((LONGEST_MS * job.eventsPerSecond) / 1000);
  let [first, begun, ended] = [0, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];

  const movers: Movers = new Movers(job, most, (number, nowMs) => {
    const place = number - FIRST_NUMBER;
    if (place < first || place >= ended) return;
    (place < begun ? steady : restarting).record(nowMs - publisher.intendedMs(number));
  });
  const publisher = new Publisher({ ...job, burst: 1 }, most);
  await movers.open();
  const published = publisher.run();
  await sleep(job.warmupMs);
  first = publisher.sent;
  await sleep(job.windowMs);
  begun = publisher.sent;
  await ready(); // in which the nodes are restarted
  ended = publisher.sent;
  publisher.stop();
  await published;
  await sleep(STRAGGLERS_MS);
  const result = movers.result(publisher.sent);
  publisher.close();
  movers.drop();
  return {
    ...result,
    steadyP99Ms: steady.percentile(0.99),
    restartP99Ms: restarting.percentile(0.99),
    restartMaxMs: restarting.maxMs,
    lagP99Ms: publisher.lag.percentile(0.99),
  };
}
