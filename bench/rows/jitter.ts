import { runLoad } from "../harness/load.ts";
import type { Server } from "../harness/servers.ts";
import type { Returned } from "../load/result.ts";
import { flagForeign, flagLateGenerator } from "./conditions.ts";
import { type Bench, DEFAULT_LIMITS, measuring, type Row, repeat, startSubject } from "./row.ts";

const NODES = 3;
const SOCKETS = 10_000;
const EVENTS = 120;
const EVENTS_PER_SECOND = 2;
const ONLINE_MS = 15_000;
const AWAY_MS = 2_000;
const MOST_P99_MS = 4_500;

/** The bad mobile network of AnyCable's public benchmark, in its numbers. */
export const jitter: Row = {
  name: "jitter",
  what: `${SOCKETS} clients of ${NODES} nodes, each cut every ${ONLINE_MS / 1000} s and away for ${AWAY_MS / 1000} s, ${EVENTS} events at ${EVENTS_PER_SECOND}/s`,
  nodesOnly: true,
  async run(bench) {
    const results = await repeat(bench, () => trial(bench));
    for (const result of results) noteConditions(bench, result);
    flagLateGenerator(bench, results);
    flagForeign(bench, Math.max(...results.map(({ foreignBusy }) => foreignBusy)));
    const measure = measuring(results);
    const none = { of: "value", atMost: 0 } as const;
    return [
      measure("delivered under jitter", "%", (r) => (100 * (r.expected - r.lost)) / r.expected, {
        of: "value",
        atLeast: 100,
      }),
      measure("events that came twice under jitter", "", (r) => r.duplicated, none),
      measure("publish to arrival under jitter, p99", "s", (r) => r.p99Ms / 1000, {
        of: "value",
        atMost: MOST_P99_MS / 1000,
      }),
      measure("publish to arrival under jitter, p50", "s", (r) => r.p50Ms / 1000, "shown"),
      measure("delivered by resuming", "%", (r) => (100 * r.resumed) / r.expected, "shown"),
    ];
  },
};

async function trial(bench: Bench): Promise<Returned> {
  const servers: Server[] = [];
  try {
    for (let index = 1; index <= NODES; index++)
      servers.push(await startSubject(bench, { ...DEFAULT_LIMITS, TIDEGATE_NODE_ID: `node${index}` }));
    return await runLoad({
      task: "jitter",
      nodes: servers.map(({ target }) => target),
      sockets: SOCKETS,
      events: EVENTS,
      eventsPerSecond: EVENTS_PER_SECOND,
      onlineMs: ONLINE_MS,
      awayMs: AWAY_MS,
    });
  } finally {
    await Promise.all(servers.map(({ child }) => child.stop()));
  }
}

function noteConditions(bench: Bench, result: Returned): void {
  const { cuts, resumed, expected, lost, notBack, notResumed, notResumedFor } = result;
  const seconds = (ms: number): string => (ms / 1000).toFixed(2);
  bench.note(
    `${cuts} cuts, ${result.refused} attempts refused, ${result.failed} unanswered, ${result.postponed} subscriptions postponed; ` +
      `cut to subscribed again ${seconds(result.backP50Ms)} s p50, ${seconds(result.backP95Ms)} s p95, ${seconds(result.backMaxMs)} s at most; ` +
      `${resumed} of ${expected} deliveries by resuming, ${lost} lost; the last after ${seconds(result.maxMs)} s; ` +
      `generator ${Math.round(result.generatorBusy * 100)}%, lag p99 ${result.lagP99Ms.toFixed(1)} ms`,
  );
  if (notBack > 0) bench.note(`FAILED: ${notBack} clients did not come back`);
  if (notResumed > 0) bench.note(`${notResumed} times told that not all can be had: ${notResumedFor}`);
}
