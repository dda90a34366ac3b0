import { untilQuiet } from "../harness/quiet.ts";
import type { Server } from "../harness/servers.ts";
import { flagForeign } from "./conditions.ts";
import { type Bench, compare, type Row, tryFanout, whatWasLost } from "./row.ts";

const FROM = 1_000;
const STEP = 1.25;
const MOST = 20_000;
const HALVINGS = 3;
const MOST_P99_MS = 50;
const WARMUP_MS = 1_000;
const WINDOW_MS = 4_000;

/** The highest rate of events to 1,000 sockets that keeps p99 at 50 ms or below. */
export const highestRate: Row = {
  name: "highest-rate",
  what: "1,000 sockets on one channel: the highest rate with p99 ≤ 50 ms",
  async run(bench) {
    const { control, subject } = await compare(bench, (server, who) => search(bench, server, who));
    return [
      {
        name: "highest rate, p99 ≤ 50 ms",
        unit: "events/s",
        control,
        subject,
        bar: { of: "ratio", atLeast: 0.9 },
      },
    ];
  },
};

async function search(bench: Bench, server: Server, who: string): Promise<number> {
  const trials: string[] = [];
  let foreignBusy = 0;
  const short = {
    ...bench,
    warmupMs: Math.min(bench.warmupMs, WARMUP_MS),
    windowMs: Math.min(bench.windowMs, WINDOW_MS),
  };
  const tryRate = async (eventsPerSecond: number): Promise<boolean> => {
    await untilQuiet(bench.patienceMs);
    const result = await tryFanout(short, server, { sockets: 1_000, channels: 1, eventsPerSecond });
    foreignBusy = Math.max(foreignBusy, result.foreignBusy);
    const lost = whatWasLost(result);
    trials.push(`${eventsPerSecond}: ${lost ?? `${result.p99Ms.toFixed(0)} ms`}`);
    return lost === null && result.p99Ms <= MOST_P99_MS;
  };
  // A hiccup of the machine must not end the climb: a rate has failed when it failed twice.
  const keepsUp = async (rate: number): Promise<boolean> => (await tryRate(rate)) || tryRate(rate);
  // Code that has not run yet is slow: the first trial only warms the server.
  await tryRate(FROM);
  let kept = 0;
  let failed = FROM;
  while (failed <= MOST && (await keepsUp(failed))) {
    kept = failed;
    failed = Math.round(failed * STEP);
  }
  if (kept === 0) kept = FROM / 2;
  for (let halving = 0; halving < HALVINGS; halving++) {
    const middle = Math.round((kept + failed) / 2);
    if (await keepsUp(middle)) kept = middle;
    else failed = middle;
  }
  bench.note(`${who}: ${trials.join("; ")}`);
  flagForeign(bench, foreignBusy);
  return kept;
}
