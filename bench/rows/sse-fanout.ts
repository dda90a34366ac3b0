import { runLoad } from "../harness/load.ts";
import { untilQuiet } from "../harness/quiet.ts";
import type { StreamsResult } from "../load/result.ts";
import { flagFullCore, flagLateGenerator, noteUsage } from "./conditions.ts";
import { type Bench, type Measure, OFF_THE_TICK, type Row, startSubject, whatWasLost } from "./row.ts";

const SOCKETS = 500;
const EVENTS_PER_SECOND = 100;
/** The clients read and no more: nobody waits for their pongs. */
const SETTINGS = { TIDEGATE_PONG_TIMEOUT: "120s" };
/** Channels of a client, and what its event stream may cost beside the WebSocket of the same channels. */
const TRIALS = [
  { channels: 1, atMost: 1.2 },
  { channels: 10, atMost: 1.6 },
];

/** What an event costs a node by an event stream. In the column of the control stands the same by WebSocket. */
export const sseFanout: Row = {
  name: "sse-fanout",
  what: `${SOCKETS} clients at ${EVENTS_PER_SECOND} events/s: server CPU per delivery by event stream, against WebSocket`,
  nodesOnly: true,
  async run(bench) {
    const measures: Measure[] = [];
    for (const { channels, atMost } of TRIALS) {
      const results = { websocket: [] as StreamsResult[], sse: [] as StreamsResult[] };
      for (let repetition = 0; repetition < bench.repetitions; repetition++) {
        const order = ["websocket", "sse"] as const;
        for (const transport of repetition % 2 === 0 ? order : [...order].reverse()) {
          await untilQuiet(bench.patienceMs);
          results[transport].push(await trial(bench, transport, channels));
        }
      }
      noteUsage(bench, results.websocket, results.sse, ["websocket", "sse"]);
      flagFullCore(bench, [...results.websocket, ...results.sse]);
      flagLateGenerator(bench, [...results.websocket, ...results.sse]);
      measures.push(...measure(results, channels, atMost));
    }
    return measures;
  },
};

function measure(
  { websocket, sse }: Record<"websocket" | "sse", StreamsResult[]>,
  channels: number,
  atMost: number,
): Measure[] {
  const of = (label: string, micros: (r: StreamsResult) => number, bar: Measure["bar"]): Measure => ({
    name: `${label} CPU per delivery, event stream : WebSocket, ${channels} ${channels === 1 ? "channel" : "channels"}`,
    unit: "µs",
    control: websocket.map((r) => micros(r) / r.deliveries),
    subject: sse.map((r) => micros(r) / r.deliveries),
    bar,
  });
  return [
    of("total", (r) => r.userMicros + r.systemMicros, { of: "ratio", atMost }),
    of("user", (r) => r.userMicros, "shown"),
    of("system", (r) => r.systemMicros, "shown"),
  ];
}

async function trial(bench: Bench, transport: "websocket" | "sse", channels: number): Promise<StreamsResult> {
  const { child, target } = await startSubject(bench, SETTINGS);
  try {
    const { warmupMs, windowMs } = bench;
    const eventsPerSecond = EVENTS_PER_SECOND * OFF_THE_TICK;
    const job = { task: "streams" as const, target, transport, channels, sockets: SOCKETS };
    const result = await runLoad({ ...job, eventsPerSecond, warmupMs, windowMs });
    const complaint = whatWasLost(result);
    if (complaint !== null) throw new Error(`${complaint}, ${transport}, ${channels} channels`);
    return result;
  } finally {
    await child.stop();
  }
}
