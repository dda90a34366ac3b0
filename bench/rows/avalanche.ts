import { runLoad } from "../harness/load.ts";
import type { Server } from "../harness/servers.ts";
import type { Returned } from "../load/result.ts";
import { flagForeign, flagLateGenerator } from "./conditions.ts";
import {
  type Bench,
  DEFAULT_LIMITS,
  type Measure,
  measuring,
  type Row,
  repeat,
  startSubject,
} from "./row.ts";

const SOCKETS = 5_000;
const CHANNELS = 50;
const EVENTS_PER_SECOND = 100;
const MOST_P95_MS = 4_000;
const DRAIN_MS = 25_000;
const SETTINGS = { ...DEFAULT_LIMITS, TIDEGATE_DRAIN_TIME: `${DRAIN_MS}ms` };

/** How the node that has everybody goes, out of so many. */
const FAULTS = {
  deploy: { nodes: 3, go: stop },
  crash: { nodes: 2, go: kill },
} as const;
type Fault = keyof typeof FAULTS;

/** A node that has all clients goes: as in a deploy, and as in a crash. */
export const avalanche: Row = {
  name: "avalanche",
  what: `${SOCKETS} clients of one node, which is stopped (${FAULTS.deploy.nodes} nodes), and killed (${FAULTS.crash.nodes} nodes)`,
  nodesOnly: true,
  async run(bench) {
    const results = await repeat(bench, async () => ({
      deploy: await trial(bench, "deploy"),
      crash: await trial(bench, "crash"),
    }));
    for (const result of results)
      for (const fault of ["deploy", "crash"] as const) noteConditions(bench, fault, result[fault]);
    const all = results.flatMap(({ deploy, crash }) => [deploy, crash]);
    flagLateGenerator(bench, all);
    flagForeign(bench, Math.max(...all.map(({ foreignBusy }) => foreignBusy)));
    const of = (fault: Fault) =>
      measuresOf(
        fault,
        results.map((result) => result[fault]),
      );
    return [...of("deploy"), ...of("crash")];
  },
};

function measuresOf(fault: Fault, results: Returned[]): Measure[] {
  const measure = measuring(results);
  const none = { of: "value", atMost: 0 } as const;
  return [
    measure(`clients left behind, ${fault}`, "", (r) => r.notBack, none),
    measure(`cut to back, p95, ${fault}`, "s", (r) => r.backP95Ms / 1000, {
      of: "value",
      atMost: MOST_P95_MS / 1000,
    }),
    measure(`events lost, ${fault}`, "", (r) => r.lost, none),
    measure(`clients cut, ${fault}`, "", (r) => r.cuts, "shown"),
  ];
}

async function trial(bench: Bench, fault: Fault): Promise<Returned> {
  const { nodes, go } = FAULTS[fault];
  const servers: Server[] = [];
  try {
    for (let index = 1; index <= nodes; index++)
      servers.push(await startSubject(bench, { ...SETTINGS, TIDEGATE_NODE_ID: `node${index}` }));
    return await runLoad(
      {
        task: "avalanche",
        nodes: servers.map(({ target }) => target),
        sockets: SOCKETS,
        channels: CHANNELS,
        eventsPerSecond: EVENTS_PER_SECOND,
        warmupMs: bench.warmupMs,
        windowMs: bench.windowMs,
      },
      () => go(servers[0] as Server),
    );
  } finally {
    // A second signal ends a drain.
    for (const { child } of servers) if (!child.exited) child.process.kill("SIGTERM");
    await Promise.all(servers.map(({ child }) => child.stop()));
  }
}

async function stop({ child }: Server): Promise<void> {
  await child.stop(DRAIN_MS * 2);
  const { exitCode, signalCode } = child.process;
  if (exitCode !== 0) throw new Error(`the node ended with ${signalCode ?? exitCode} when it was stopped`);
}

async function kill({ child }: Server): Promise<void> {
  child.process.kill("SIGKILL");
  await child.stop();
}

function noteConditions(bench: Bench, fault: Fault, result: Returned): void {
  const { cuts, moves, backP50Ms, backMaxMs, notResumed, notResumedFor } = result;
  bench.note(
    `${fault}: ${moves} moved, ${cuts} cut (${JSON.stringify(result.endedBy)}); back ${(backP50Ms / 1000).toFixed(2)} s p50, ${(backMaxMs / 1000).toFixed(2)} s at most; ` +
      `${result.refused} attempts refused, ${result.failed} unanswered, ${result.postponed} subscriptions postponed; ` +
      `${result.lost} of ${result.expected} deliveries lost, ${result.resumed} by resuming, ${result.duplicated} came twice; ` +
      `generator ${Math.round(result.generatorBusy * 100)}% meanwhile, lag p99 ${result.lagP99Ms.toFixed(1)} ms`,
  );
  if (notResumed > 0) bench.note(`${notResumed} times told that not all can be had: ${notResumedFor}`);
  if (fault === "crash" && result.duplicated > 0)
    bench.note(`FAILED: ${result.duplicated} deliveries came twice after the crash`);
}
