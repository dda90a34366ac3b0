import type { JitterJob, Target } from "./job.ts";
import { Latencies } from "./latencies.ts";
import { Publisher } from "./publisher.ts";
import { random } from "./random.ts";
import type { Returned } from "./result.ts";
import { Returners } from "./returners.ts";
import { Window } from "./window.ts";

/** A third of what three nodes accept by default: the crowd is there without having been a storm. */
const FILL_PER_SECOND = 2_000;
const PATIENCE_MS = 30_000;

/** Publishes at a steady rate to clients whose connections are cut one by one, all the time. */
export async function runJitter(job: JitterJob, ready: () => Promise<void>): Promise<Returned> {
  const { nodes, sockets, events, onlineMs, awayMs } = job;
  const latencies = new Latencies();
  const next = random(1);
  let cutting = false;
  const cutIn = (client: number, ms: number): void => {
    setTimeout(() => cutting && returners.cut(client, awayMs), ms);
  };
  const returners: Returners = new Returners({
    nodes,
    sockets,
    channels: 1,
    onEvent: (number, nowMs) => {
      latencies.record(nowMs - publisher.intendedMs(number));
      publisher.publishDue(nowMs);
    },
    onSubscribed: (client) => {
      if (cutting) cutIn(client, onlineMs * (0.8 + 0.4 * next()));
    },
  });
  const [target, ...others] = nodes as [Target, ...Target[]];
  const publisher = new Publisher({ ...job, target, channels: 1, burst: 1, withHistory: () => true }, events);

  await returners.fill(FILL_PER_SECOND, (client) => client % nodes.length);
  await ready();
  cutting = true;
  for (let client = 0; client < sockets; client++) cutIn(client, (onlineMs + awayMs) * next());
  const window = new Window(
    target,
    () => 0,
    others.map(({ pid }) => pid),
  );
  window.open();
  await publisher.run();
  window.close();
  cutting = false;
  await returners.untilBack(PATIENCE_MS);
  await returners.untilUpTo(events, PATIENCE_MS);
  const { ledger, result } = returners;
  publisher.close();
  returners.drop();
  return {
    ...result,
    expected: ledger.expected(events),
    lost: ledger.skipped + ledger.outstanding(events),
    p50Ms: latencies.percentile(0.5),
    p99Ms: latencies.percentile(0.99),
    maxMs: latencies.maxMs,
    generatorBusy: window.usage.generatorBusy,
    foreignBusy: window.usage.foreignBusy,
    lagP99Ms: publisher.lag.percentile(0.99),
  };
}
