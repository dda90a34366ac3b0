import { runLoad } from "../harness/load.ts";
import type { RefusedHandshakesResult } from "../load/result.ts";
import { flagForeign } from "./conditions.ts";
import { type Bench, measuring, type Row, repeat, startSubject } from "./row.ts";

/** The default of TIDEGATE_HANDSHAKE_RATE: more does not get as far as the token. */
const PER_SECOND = 2_000;

interface Pair {
  alone: RefusedHandshakesResult;
  mixed: RefusedHandshakesResult;
}

/**
 * What forged tokens cost those who have good ones: half of the handshakes refused against none. Equally many in both,
 * or the generator's own work for the refused half would be counted; and far from a full core.
 */
export const refusedHandshakes: Row = {
  name: "refused-handshakes",
  what: `${PER_SECOND} handshakes/s, half of them with a forged token, against none of them`,
  nodesOnly: true,
  async run(bench) {
    const pairs = await repeat(bench, async (repetition): Promise<Pair> => {
      if (repetition % 2 === 1) {
        const mixed = await trial(bench, PER_SECOND / 2);
        return { mixed, alone: await trial(bench, 0) };
      }
      return { alone: await trial(bench, 0), mixed: await trial(bench, PER_SECOND / 2) };
    });
    for (const { alone, mixed } of pairs) {
      bench.note(
        `none refused: p50 ${alone.p50Ms.toFixed(1)}, p99 ${alone.p99Ms.toFixed(1)} ms of ${alone.accepted}; ` +
          `half refused: p50 ${mixed.p50Ms.toFixed(1)}, p99 ${mixed.p99Ms.toFixed(1)} ms of ${mixed.accepted}, ` +
          `${mixed.refused} refused; server core ${percentOf(alone)}, ${percentOf(mixed)}`,
      );
    }
    flagForeign(
      bench,
      Math.max(...pairs.flatMap(({ alone, mixed }) => [alone.foreignBusy, mixed.foreignBusy])),
    );
    const measure = measuring(pairs);
    return [
      measure(
        "p99 of accepted handshakes, half refused : none refused",
        "",
        ({ alone, mixed }) => mixed.p99Ms / alone.p99Ms,
        { of: "value", atMost: 1.2 },
      ),
      measure("p99 of accepted handshakes, half refused", "ms", ({ mixed }) => mixed.p99Ms, "shown"),
      measure(
        "CPU per handshake, half refused : none refused",
        "",
        ({ alone, mixed }) => cpu(mixed) / cpu(alone),
        "shown",
      ),
    ];
  },
};

async function trial(bench: Bench, refusedPerSecond: number): Promise<RefusedHandshakesResult> {
  const { warmupMs, windowMs } = bench;
  const { child, target } = await startSubject(bench);
  const rates = { acceptedPerSecond: PER_SECOND - refusedPerSecond, refusedPerSecond };
  try {
    return await runLoad({ task: "refused-handshakes", target, ...rates, warmupMs, windowMs });
  } finally {
    await child.stop();
  }
}

const micros = (result: RefusedHandshakesResult): number => result.userMicros + result.systemMicros;
const cpu = (result: RefusedHandshakesResult): number => micros(result) / (result.accepted + result.refused);
const percentOf = (result: RefusedHandshakesResult): string =>
  `${Math.round(micros(result) / result.seconds / 1e4)}%`;
