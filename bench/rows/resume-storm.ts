import { runLoad } from "../harness/load.ts";
import { readCounter } from "../harness/metrics.ts";
import type { Server } from "../harness/servers.ts";
import type { ResumeStormResult } from "../load/result.ts";
import { flagLateGenerator } from "./conditions.ts";
import { type Bench, measuring, type Row, repeat, startSubject } from "./row.ts";

const NODES = 3;
const SOCKETS = 5_000;
const CHANNELS = 50;
/** Ten of each channel. */
const EVENTS_PER_SECOND = 500;
const MISSED = 100;
const AWAY_MS = (MISSED * CHANNELS * 1_000) / EVENTS_PER_SECOND;
const HANDSHAKE_RATE = 2_000;
/** Just under what the nodes that are left accept; at the very rate every hiccup would be a refusal. */
const ATTEMPTS_PER_SECOND = (NODES - 1) * HANDSHAKE_RATE * 0.95;
const BOUND_MS = (SOCKETS * 1_000) / ATTEMPTS_PER_SECOND;
const MOST_READS_PER_100 = 10;
/** The node's own limits, as by default. */
const SETTINGS = {
  TIDEGATE_HANDSHAKE_RATE: String(HANDSHAKE_RATE),
  TIDEGATE_MAX_CONNECTIONS: "15000",
  TIDEGATE_MAX_CONNECTIONS_PER_USER: "100",
  TIDEGATE_MAX_NODE_QUEUED_BYTES: "256MiB",
};

interface Storm extends ResumeStormResult {
  /** Of the nodes that are left, from the kill to the end. */
  historyReads: number;
  holes: number;
}

/** A node dies, everybody is cut off, and resumes on the nodes that are left, which nobody listens to any more. */
export const resumeStorm: Row = {
  name: "resume-storm",
  what: `${SOCKETS} clients of ${NODES} nodes cut off as one is killed, resume ${MISSED} events each on the others`,
  nodesOnly: true,
  async run(bench) {
    bench.note(
      `at the rate that ${NODES - 1} nodes accept, no storm is over before ${(BOUND_MS / 1000).toFixed(2)} s`,
    );
    const results = await repeat(bench, () => trial(bench));
    for (const result of results) noteConditions(bench, result);
    flagLateGenerator(bench, results);
    const measure = measuring(results);
    const none = { of: "value", atMost: 0 } as const;
    return [
      measure("history reads per 100 resumes", "", (r) => (r.historyReads * 100) / SOCKETS, {
        of: "value",
        atMost: MOST_READS_PER_100,
      }),
      measure("times that a client was told resumed:false", "", (r) => r.notResumed, none),
      measure("events lost in a resume storm", "", (r) => r.lost, none),
      measure("events that came twice", "", (r) => r.duplicated, none),
      measure("first attempt to last client up to date", "s", (r) => r.firstToLastMs / 1000, "shown"),
      measure("kill to last client up to date", "s", (r) => r.killToLastMs / 1000, "shown"),
      measure("attempt to up to date, p99 of clients", "ms", (r) => r.resumeP99Ms, "shown"),
    ];
  },
};

async function trial(bench: Bench): Promise<Storm> {
  const servers: Server[] = [];
  try {
    for (let index = 1; index <= NODES; index++)
      servers.push(await startSubject(bench, { ...SETTINGS, TIDEGATE_NODE_ID: `node${index}` }));
    const survivors = servers.slice(1);
    const count = async (name: string): Promise<number> => {
      const counts = await Promise.all(survivors.map(({ adminUrl }) => readCounter(adminUrl, name)));
      return counts.reduce((sum, one) => sum + one, 0);
    };
    const counts = async () => ({
      historyReads: await count("tidegate_history_reads_total"),
      holes: await count("tidegate_holes_total"),
    });
    let before = { historyReads: 0, holes: 0 };
    const { warmupMs, windowMs } = bench;
    const result = await runLoad(
      {
        task: "resume-storm",
        nodes: servers.map(({ target }) => target),
        sockets: SOCKETS,
        channels: CHANNELS,
        eventsPerSecond: EVENTS_PER_SECOND,
        awayMs: AWAY_MS,
        attemptsPerSecond: ATTEMPTS_PER_SECOND,
        warmupMs,
        windowMs,
      },
      async () => {
        before = await counts();
      },
    );
    const after = await counts();
    return {
      ...result,
      historyReads: after.historyReads - before.historyReads,
      holes: after.holes - before.holes,
    };
  } finally {
    await Promise.all(servers.map(({ child }) => child.stop()));
  }
}

function noteConditions(bench: Bench, result: Storm): void {
  const { missedLeast, missedMean, missedMost, resumed, refused, failed, postponed, notResumedFor } = result;
  bench.note(
    `${resumed} resumed, missed ${missedLeast}–${missedMost} each (mean ${missedMean.toFixed(0)}); ` +
      `${result.historyReads} history reads, ${result.holes} holes; ${refused} attempts refused, ${failed} unanswered, ${postponed} subscriptions postponed; ` +
      `all subscribed after ${(result.firstToSubscribedMs / 1000).toFixed(2)} s; ` +
      `a resume took ${result.resumeP50Ms.toFixed(1)} ms p50; ` +
      `${result.lost} of ${result.expected} deliveries lost; ` +
      `generator ${Math.round(result.generatorBusy * 100)}% meanwhile, lag p99 ${result.lagP99Ms.toFixed(1)} ms`,
  );
  if (notResumedFor !== null) bench.note(`told that not all can be had: ${notResumedFor}`);
}
