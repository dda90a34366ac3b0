import { freePort } from "../../deploy/local/process.ts";
import { type Haproxy, startBalancer } from "../harness/balancer.ts";
import { runLoad } from "../harness/load.ts";
import { hasTool } from "../harness/machine.ts";
import type { Server, Settings } from "../harness/servers.ts";
import type { RestartResult } from "../load/result.ts";
import { flagLateGenerator } from "./conditions.ts";
import { type Bench, measuring, type Row, repeat, startSubject } from "./row.ts";

const NODES = 3;
const SOCKETS = 900;
const EVENTS_PER_SECOND = 100;
const DRAIN_MS = 10_000;
const SLOT_MS = 500;

interface Place {
  settings: Settings;
  server: Server;
}

/** Each of three nodes behind HAProxy is stopped, started again and waited for, while clients listen. */
export const rollingRestart: Row = {
  name: "rolling-restart",
  what: `${NODES} nodes behind HAProxy restarted in turn under ${SOCKETS} clients and ${EVENTS_PER_SECOND} events/s`,
  nodesOnly: true,
  async run(bench) {
    if (!hasTool("haproxy", "-v")) {
      bench.note("SKIPPED: haproxy is missing (apt-get install haproxy openssl)");
      return [];
    }
    const results = await repeat(bench, () => trial(bench));
    for (const result of results) noteConditions(bench, result);
    flagLateGenerator(bench, results);
    const measure = measuring(results);
    return [
      measure("events lost in a rolling restart", "", (r) => r.lost, { of: "value", atMost: 0 }),
      measure("reconnects, busiest 500 ms : mean of the drain", "", unevenness, { of: "value", atMost: 2 }),
      measure("p99 latency, restarting : steady", "", (r) => r.restartP99Ms / r.steadyP99Ms, {
        of: "value",
        atMost: 2,
      }),
      measure("p99 latency, restarting", "ms", (r) => r.restartP99Ms, "shown"),
    ];
  },
};

async function trial(bench: Bench): Promise<RestartResult> {
  const places: Place[] = [];
  let haproxy: Haproxy | undefined;
  try {
    for (let index = 1; index <= NODES; index++) {
      const settings = await settingsOf(index);
      places.push({ settings, server: await startSubject(bench, settings) });
    }
    haproxy = await startBalancer(places.map(({ settings }) => portsOf(settings)));
    await haproxy.waitForNodes(NODES);
    const { target } = (places[0] as Place).server;
    const { warmupMs, windowMs } = bench;
    return await runLoad(
      {
        task: "restart",
        target: { ...target, port: haproxy.httpPort, pid: haproxy.pid },
        sockets: SOCKETS,
        channels: 10,
        eventsPerSecond: EVENTS_PER_SECOND,
        warmupMs,
        windowMs,
      },
      () => restartAll(bench, places, haproxy as Haproxy),
    );
  } finally {
    await Promise.all([haproxy?.stop(), ...places.map(({ server }) => server.child.stop())]);
  }
}

/** Ports that nobody gets while the node is away. */
async function settingsOf(index: number): Promise<Settings> {
  return {
    TIDEGATE_NODE_ID: `node${index}`,
    TIDEGATE_PORT: String(await freePort()),
    TIDEGATE_ADMIN_PORT: String(await freePort()),
    TIDEGATE_DRAIN_TIME: `${DRAIN_MS}ms`,
    TIDEGATE_MAX_CONNECTIONS_PER_USER: "100",
  };
}

const portsOf = (settings: Settings) => ({
  port: Number(settings.TIDEGATE_PORT),
  adminPort: Number(settings.TIDEGATE_ADMIN_PORT),
});

async function restartAll(bench: Bench, places: Place[], haproxy: Haproxy): Promise<void> {
  for (const place of places) {
    await place.server.child.stop(DRAIN_MS * 2);
    const { exitCode, signalCode } = place.server.child.process;
    if (exitCode !== 0) throw new Error(`a node ended with ${signalCode ?? exitCode} when it was stopped`);
    place.server = await startSubject(bench, place.settings);
    await haproxy.waitForNodes(NODES);
  }
}

/** The busiest slot of any drain against the mean of that drain, from its first reconnect to its last. */
function unevenness({ moves }: RestartResult): number {
  const ofDrain = (instantsMs: number[]): number => {
    const [first, last] = [instantsMs[0] ?? 0, instantsMs.at(-1) ?? 0];
    const slots = new Map<number, number>();
    for (const atMs of instantsMs) {
      const slot = Math.floor((atMs - first) / SLOT_MS);
      slots.set(slot, (slots.get(slot) ?? 0) + 1);
    }
    const mean = (instantsMs.length * SLOT_MS) / Math.max(SLOT_MS, last - first);
    return Math.max(...slots.values()) / mean;
  };
  return Math.max(...Object.values(moves).map(ofDrain));
}

function noteConditions(bench: Bench, result: RestartResult): void {
  const { moves, expected, lost, twice, cut, refused, steadyP99Ms, restartP99Ms, restartMaxMs } = result;
  const moved = Object.entries(moves).map(([node, { length }]) => `${node} ${length}`);
  bench.note(
    `moved: ${moved.join(", ")}; ${lost} of ${expected} deliveries lost, ${twice} came twice; ` +
      `p99 ${steadyP99Ms.toFixed(1)} ms steady, ${restartP99Ms.toFixed(1)} ms restarting ` +
      `(at most ${restartMaxMs.toFixed(0)} ms); lag p99 ${result.lagP99Ms.toFixed(1)} ms`,
  );
  if (cut.length > 0) bench.note(`FLAGGED: ${cut.length} connections ended before the next: ${cut[0]}`);
  if (refused.length > 0) bench.note(`${refused.length} next connections tried again: ${refused[0]}`);
  if (Object.keys(moves).length < NODES) bench.note("FAILED: not every node moved its clients");
}
