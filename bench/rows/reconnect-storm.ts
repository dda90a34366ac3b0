import { runLoad } from "../harness/load.ts";
import type { StormResult } from "../load/result.ts";
import { type Bench, measuring, type Row, repeat, startSubject } from "./row.ts";

const SOCKETS = 10_000;
const PER_SECOND = 2_000;
const TOLERANCE = 1.05;
const MOST_LAG_MS = 200;
/** The node's own limits, as by default. */
const SETTINGS = {
  TIDEGATE_HANDSHAKE_RATE: String(PER_SECOND),
  TIDEGATE_MAX_CONNECTIONS: "15000",
  TIDEGATE_MAX_CONNECTIONS_PER_USER: "100",
};

/** Everybody is cut off at once, tries again at once, and, when refused, within the window that `welcome` named. */
export const reconnectStorm: Row = {
  name: "reconnect-storm",
  what: `${SOCKETS} connections cut at once; the node accepts ${PER_SECOND} handshakes/s`,
  nodesOnly: true,
  async run(bench) {
    const results = await repeat(bench, () => trial(bench));
    for (const { attempts, refused, failed, reconnect, generatorLagMs } of results) {
      bench.note(
        `${attempts} attempts, ${refused} refused, ${failed} without an answer; ` +
          `window ${reconnect.min}–${reconnect.max} ms; the generator's lag at most ${generatorLagMs.toFixed(0)} ms`,
      );
    }
    const measure = measuring(results);
    return [
      measure("most handshakes accepted in a second", "", (r) => r.peakPerSecond, {
        of: "value",
        atMost: PER_SECOND * TOLERANCE,
      }),
      measure("event-loop lag p99 until all are back", "ms", (r) => r.lagP99Ms, {
        of: "value",
        atMost: MOST_LAG_MS,
      }),
      measure("event-loop lag at most", "ms", (r) => r.lagMaxMs, "shown"),
      measure("all are back after", "s", (r) => r.backMs / 1000, "shown"),
    ];
  },
};

async function trial(bench: Bench): Promise<StormResult> {
  const { child, target, adminUrl } = await startSubject(bench, SETTINGS);
  try {
    return await runLoad({
      task: "storm",
      target,
      metricsUrl: `${adminUrl}/metrics`,
      sockets: SOCKETS,
      channels: 1_000,
      settleMs: bench.settleMs,
    });
  } finally {
    await child.stop();
  }
}
