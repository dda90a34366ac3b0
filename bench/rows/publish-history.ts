import { SERVER_CORE } from "../harness/cores.ts";
import { runLoad } from "../harness/load.ts";
import type { PublishWay } from "../load/job.ts";
import type { PublishCost, PublishCostResult } from "../load/result.ts";
import { flagForeign } from "./conditions.ts";
import { type Bench, type Measure, type Row, repeat, startSubject } from "./row.ts";

const NODES = 3;
/** Calls under way at a time: each alone, and as many as a busy publisher has. */
const DEPTHS = [1, 16];

/** What it costs Redis to keep an event. In the column of the control stands plain `PUBLISH` to as many subscribers. */
export const publishHistory: Row = {
  name: "publish-history",
  what: `Redis CPU per publish of 200 bytes to ${NODES} subscribers: with history against plain PUBLISH`,
  nodesOnly: true,
  async run(bench) {
    const measures: Measure[] = [];
    for (const depth of DEPTHS) {
      const results = await repeat(bench, () => trial(bench, depth));
      flagForeign(bench, Math.max(...results.map(({ foreignBusy }) => foreignBusy)));
      measures.push(...measure(results, "append", depth), ...measure(results, "publish", depth));
    }
    return measures;
  },
};

function measure(results: PublishCostResult[], way: PublishWay, depth: number): Measure[] {
  const of = (name: string, unit: string, figure: (cost: PublishCost) => number): Measure => ({
    name: `${name}, tidegate_${way} : PUBLISH, ${depth} at a time`,
    unit,
    control: results.map(({ plain }) => figure(plain)),
    subject: results.map((result) => figure(result[way])),
    bar: "shown",
  });
  return [
    of("Redis CPU per call", "µs", ({ redisMicros, calls }) => redisMicros / calls),
    of("calls", "1/s", ({ calls, seconds }) => calls / seconds),
  ];
}

async function trial(bench: Bench, depth: number): Promise<PublishCostResult> {
  // A node has loaded the functions and its rules into Redis by the time that it is ready, and is in the way from then on.
  await (await startSubject(bench)).child.stop();
  const { warmupMs, windowMs, redis } = bench;
  const job = { task: "publish-cost" as const, redisPort: redis.port, subscribers: NODES, depth };
  // Nothing is measured on the server's core, so the generator has it, and Redis has the other one to itself.
  return runLoad({ ...job, warmupMs, windowMs }, undefined, SERVER_CORE);
}
