import { runLoad } from "../harness/load.ts";
import type { FanoutHistoryResult, WayResult } from "../load/result.ts";
import { flagFullCore, flagLateGenerator, noteUsage } from "./conditions.ts";
import {
  type Bench,
  type Measure,
  OFF_THE_TICK,
  type Row,
  repeat,
  startSubject,
  whatWasLost,
} from "./row.ts";

const SOCKETS = 1_000;
const RATES = [50, 200];
const TOTAL_AT_MOST = 1.1;

/** What history costs a node. In the column of the control stands the same node when `PUBLISH` is used. */
export const fanoutHistory: Row = {
  name: "fanout-history",
  what: `${SOCKETS} sockets on one channel: events by FCALL tidegate_publish against plain PUBLISH, by turns`,
  nodesOnly: true,
  async run(bench) {
    const measures: Measure[] = [];
    for (const rate of RATES) {
      const results = await repeat(bench, () => trial(bench, rate));
      noteConditions(bench, results);
      measures.push(...measure(results, rate));
    }
    return measures;
  },
};

function measure(results: FanoutHistoryResult[], rate: number): Measure[] {
  const of = (label: string, micros: (way: WayResult) => number, bar: Measure["bar"]): Measure => ({
    name: `${label} CPU per delivery, history : plain, ${rate} events/s`,
    unit: "µs",
    control: results.map(({ plain }) => micros(plain) / plain.deliveries),
    subject: results.map(({ history }) => micros(history) / history.deliveries),
    bar,
  });
  return [
    of("total", (way) => way.userMicros + way.systemMicros, { of: "ratio", atMost: TOTAL_AT_MOST }),
    of("user", (way) => way.userMicros, "shown"),
    of("system", (way) => way.systemMicros, "shown"),
  ];
}

async function trial(bench: Bench, rate: number): Promise<FanoutHistoryResult> {
  const { child, target } = await startSubject(bench);
  try {
    const { warmupMs, windowMs } = bench;
    const job = { task: "fanout-history" as const, target, sockets: SOCKETS, warmupMs, windowMs };
    const result = await runLoad({ ...job, eventsPerSecond: rate * OFF_THE_TICK });
    const complaint = whatWasLost(result);
    if (complaint !== null) throw new Error(`${complaint} at ${rate} events/s`);
    return result;
  } finally {
    await child.stop();
  }
}

function noteConditions(bench: Bench, results: FanoutHistoryResult[]): void {
  const [plain, history] = [results.map((result) => result.plain), results.map((result) => result.history)];
  for (const [who, ways] of Object.entries({ plain, history })) {
    const p99s = ways.map(({ p99Ms }) => p99Ms.toFixed(1)).join(", ");
    bench.note(`${who}: frames of ${ways[0]?.frameBytes} B; p99 ${p99s} ms`);
  }
  noteUsage(bench, plain, history, ["plain", "history"]);
  flagFullCore(bench, [...plain, ...history]);
  flagLateGenerator(bench, results);
}
