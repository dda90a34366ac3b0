import type { FanoutResult, Usage } from "../load/result.ts";
import type { Bench } from "./row.ts";

const FULL = 0.95;
const MOST_FOREIGN = 0.1;
const MOST_LAG_MS = 20;

const serverBusy = (usage: Usage): number => (usage.userMicros + usage.systemMicros) / usage.seconds / 1e6;
const percent = (share: number): string => `${Math.round(share * 100)}%`;
const list = <T>(results: T[], show: (result: T) => string): string => results.map(show).join(", ");

/** What a reader needs to judge the figures of a fan-out row. */
export function noteConditions(bench: Bench, control: FanoutResult[], subject: FanoutResult[]): void {
  for (const [who, results] of [
    ["control", control],
    ["subject", subject],
  ] as const) {
    bench.note(
      `${who}: frames of ${results[0]?.frameBytes} B; deliveries/s ` +
        `${list(results, (r) => (r.deliveries / r.seconds).toFixed(0))}; ` +
        `p99 ${list(results, (r) => r.p99Ms.toFixed(1))} ms; lag p99 ${list(results, (r) => r.lagP99Ms.toFixed(1))} ms`,
    );
  }
  const [bare, whole] = [control[0]?.frameBytes ?? 0, subject[0]?.frameBytes ?? 0];
  if (Math.abs(whole - bare) > 0.02 * bare) bench.note("FLAGGED: the two do not put equal bytes on the wire");
  noteUsage(bench, control, subject);
}

/** How full the cores were, and who else was there. */
export function noteUsage(
  bench: Bench,
  control: Usage[],
  subject: Usage[],
  names: readonly [string, string] = ["control", "subject"],
): void {
  for (const [who, results] of [
    [names[0], control],
    [names[1], subject],
  ] as const) {
    bench.note(
      `${who}: server core ${list(results, (r) => percent(serverBusy(r)))}; ` +
        `generator ${list(results, (r) => percent(r.generatorBusy))}`,
    );
  }
  const foreign = Math.max(...[...control, ...subject].map((usage) => usage.foreignBusy));
  flagForeign(bench, foreign);
}

export function flagForeign(bench: Bench, foreign: number): void {
  if (foreign > MOST_FOREIGN)
    bench.note(`FLAGGED: others used up to ${percent(foreign)} of a core meanwhile`);
}

/** On a full core CPU per delivery is 1/rate for whoever keeps up, and a ratio of it says nothing. */
export function flagFullCore(bench: Bench, results: Usage[]): void {
  const full = results.filter((result) => serverBusy(result) > FULL).length;
  if (full > 0) bench.note(`FLAGGED: the server's core was full in ${full} of ${results.length} runs`);
}

/** A late generator makes a server look slow: said wherever the server itself was not the limit. */
export function flagLateGenerator(bench: Bench, results: Pick<FanoutResult, "lagP99Ms">[]): void {
  const lag = Math.max(...results.map((result) => result.lagP99Ms));
  if (lag > MOST_LAG_MS) bench.note(`FLAGGED: the generator published late, p99 ${lag.toFixed(1)} ms`);
}
