import type { Counts } from "./counts.ts";
import type { Failure } from "./publisher.ts";
import type { Trespassing } from "./stranger.ts";

/** What a run has found. Durations are milliseconds. */
export interface Report {
  /** Whether every promise was kept. */
  readonly ok: boolean;
  /** Why not, in sentences: what was broken, and then the problems. */
  readonly why: readonly string[];
  /** What no retry mended, such as a token that expired. By themselves they break no promise, and they keep none. */
  readonly problems: readonly string[];
  readonly run: string;
  readonly durationMs: number;

  readonly published: number;
  readonly acknowledged: number;
  /** Not acknowledged in time: they may have been delivered or not. */
  readonly givenUp: number;
  readonly heldBack: number;
  /** Why attempts to publish failed, by code. */
  readonly failures: Readonly<Record<string, Failure>>;

  readonly deliveries: number;
  /** Of them, those that were missed and came by resuming. */
  readonly recovered: number;
  readonly reconnects: { readonly cut: number; readonly moved: number; readonly lost: number };
  /** Answers to `since`, by result. */
  readonly resumes: Readonly<Record<string, number>>;
  /** How often a client was told that continuity was lost, by reason. */
  readonly told: Readonly<Record<string, number>>;

  /** `silent` and `toldLost` together. See checker.ts for what counts as what. */
  readonly lost: number;
  readonly silent: number;
  readonly toldLost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly conflicting: number;
  readonly foreign: number;
  readonly firstForeign: string | undefined;
  /** How often somebody was let in who has no grant; undefined: that was not tried, or nothing can be said. */
  readonly unauthorised: number | undefined;
  /** What came of each way to try it; undefined: there was nobody to try. */
  readonly trespassing: Trespassing | undefined;
  readonly late: number;
  readonly worstLateMs: number;
  /** Clients that were not subscribed to all of their channels at the end, without having been refused for good. */
  readonly absent: number;
  /** The longest time that a connected client did not know that it had missed an event; undefined: it never happened. */
  readonly worstDetectionMs: number | undefined;
  /** From the first attempt to publish to a live delivery. */
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number };
}

export function latenciesOf({ latency }: Counts): Report["latencyMs"] {
  if (latency.count === 0) return { p50: 0, p99: 0, max: 0 };
  const ms = (us: number) => Math.round(us / 10) / 100;
  return { p50: ms(latency.percentile(50)), p99: ms(latency.percentile(99)), max: ms(latency.max) };
}

/** In sentences, what makes a run fail. */
export function findings(report: Omit<Report, "ok" | "why">, allowTold: boolean): string[] {
  const { silent, toldLost, duplicated, reordered, conflicting, foreign, unauthorised = 0, absent } = report;
  const told = sum(report.told);
  const all: [number, string][] = [
    [silent, "lost silently: nobody told the client"],
    [duplicated, "delivered more than once"],
    [reordered, "delivered out of order"],
    [conflicting, "ids with two values, or places in a history with two ids"],
    [
      foreign,
      `foreign events: of another channel, published by nobody, or without an id, such as ${report.firstForeign}`,
    ],
    [unauthorised, `times somebody without a grant was let in (${each(report.trespassing?.letIn ?? {})})`],
    [absent, "clients did not get back in by the end"],
    [
      allowTold ? 0 : told,
      `times a client was told of a loss (${toldLost} events): in a healthy system nothing is lost (--allow-told if Redis was meant to lose events)`,
    ],
  ];
  const why = all.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  if (report.acknowledged === 0) why.push("nothing was published that anybody acknowledged");
  else if (report.deliveries === 0) why.push("nothing was delivered");
  return why;
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

function each(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([what, count]) => `${what} ${count}`)
    .join(", ");
}

/** In words, what was found of who may not come in. */
export function renderTrespassing(trespassing: Trespassing | undefined): string {
  if (!trespassing) return "not tried: needs a secret to mint a token with";
  const { letIn, refused, notTried } = trespassing;
  const reasons = [...new Set(Object.values(notTried))];
  const parts = reasons.map((why) => {
    const ways = Object.keys(notTried).filter((way) => notTried[way] === why);
    return `not tried: ${ways.join(", ")} (${why})`;
  });
  if (Object.keys(refused).length > 0) parts.unshift(`refused: ${each(refused)}`);
  if (Object.keys(letIn).length > 0) parts.unshift(`let in: ${each(letIn)}`);
  return parts.join("; ");
}

/** A report for people, in lines. */
export function renderReport(report: Report): string {
  const { latencyMs, reconnects, worstDetectionMs } = report;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  const rows: [string, string | number][] = [
    ["published", `${report.published}, acknowledged ${report.acknowledged}, given up ${report.givenUp}`],
    ["deliveries", `${report.deliveries}, of them by resume ${report.recovered}`],
    ["reconnects", `cut ${reconnects.cut}, moved ${reconnects.moved}, lost ${reconnects.lost}`],
    ["resumes", each(report.resumes) || "none"],
    ["told", `${sum(report.told)}${sum(report.told) > 0 ? ` (${each(report.told)})` : ""}`],
    ["lost", `${report.lost} (silent ${report.silent}, told ${report.toldLost})`],
    ["duplicated", report.duplicated],
    ["reordered", report.reordered],
    ["conflicting", report.conflicting],
    ["foreign", report.foreign],
    ["unauthorised", unauthorisedIn(report)],
    ["absent", report.absent],
    ["late", report.late === 0 ? "0" : `${report.late}, worst ${seconds(report.worstLateMs)}`],
    [
      "detection",
      worstDetectionMs === undefined ? "nothing to detect" : `worst ${seconds(worstDetectionMs)}`,
    ],
    ["latency", `p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms, max ${latencyMs.max} ms`],
  ];
  if (report.heldBack > 0)
    rows.splice(1, 0, ["held back", `${report.heldBack}: too many under way, or this process too busy`]);
  const lines = rows.map(([what, value]) => `${what.padEnd(13)} ${value}`);
  for (const [code, { times, message }] of Object.entries(report.failures))
    lines.push(`${"failed".padEnd(13)} ${times} × ${code}, such as: ${message}`);
  lines.push("", report.ok ? "Every promise was kept." : `${verdictOf(report)}: ${report.why.join("; ")}.`);
  return lines.join("\n");
}

/** Whether promises were broken, and not only problems met. */
export function isBroken({ why, problems }: Pick<Report, "why" | "problems">): boolean {
  return why.length > problems.length;
}

function verdictOf(report: Report): string {
  return isBroken(report) ? "FAILED" : "NOTHING PROVEN";
}

/** 0 is said only of what was tried. */
function unauthorisedIn({ unauthorised, trespassing }: Report): string {
  const found = renderTrespassing(trespassing);
  return unauthorised === undefined ? found : `${unauthorised} (${found})`;
}
