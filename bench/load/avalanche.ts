import { setTimeout as sleep } from "node:timers/promises";
import type { AvalancheJob, Target } from "./job.ts";
import { Latencies } from "./latencies.ts";
import { Publisher } from "./publisher.ts";
import type { Returned } from "./result.ts";
import { Returners } from "./returners.ts";
import { Window } from "./window.ts";

/** Half of what the node accepts by default: the crowd is there without having been a storm. */
const FILL_PER_SECOND = 1_000;
/** More than everything takes together. */
const LONGEST_MS = 300_000;
const PATIENCE_MS = 30_000;

/** Publishes with history at a steady rate to clients of one node, which goes; in what way is the harness's. */
export async function runAvalanche(job: AvalancheJob, ready: () => Promise<void>): Promise<Returned> {
  const latencies = new Latencies();
  const returners: Returners = new Returners({
    ...job,
    onEvent: (number, nowMs) => {
      latencies.record(nowMs - publisher.intendedMs(number));
      publisher.publishDue(nowMs);
    },
  });
  const most = Math.ceil((LONGEST_MS * job.eventsPerSecond) / 1000);
  const [, target, ...others] = job.nodes as [Target, Target, ...Target[]];
  const publisher = new Publisher({ ...job, target, burst: 1, withHistory: () => true }, most);

  await returners.fill(FILL_PER_SECOND, () => 0);
  const published = publisher.run();
  await sleep(job.warmupMs + job.windowMs);
  returners.avoid(0);
  await ready(); // in which the node goes
  const window = new Window(
    target,
    () => 0,
    others.map(({ pid }) => pid),
  );
  window.open();
  await returners.untilBack(PATIENCE_MS);
  await sleep(job.windowMs);
  window.close();
  publisher.stop();
  await published;
  await returners.untilUpTo(publisher.sent, PATIENCE_MS);
  const { ledger, result } = returners;
  publisher.close();
  returners.drop();
  return {
    ...result,
    expected: ledger.expected(publisher.sent),
    lost: ledger.skipped + ledger.outstanding(publisher.sent),
    p50Ms: latencies.percentile(0.5),
    p99Ms: latencies.percentile(0.99),
    maxMs: latencies.maxMs,
    generatorBusy: window.usage.generatorBusy,
    foreignBusy: window.usage.foreignBusy,
    lagP99Ms: publisher.lag.percentile(0.99),
  };
}
