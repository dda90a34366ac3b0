import { mkdirSync, writeFileSync } from "node:fs";
import type { Measure } from "../rows/row.ts";
import type { Machine } from "./machine.ts";
import { RESULTS } from "./paths.ts";
import { type Spread, spread } from "./statistics.ts";

/** A row as it was measured: enough to judge it without having been there. */
export interface Report {
  row: string;
  what: string;
  date: string;
  command: string;
  machine: Machine;
  repetitions: number;
  windowMs: number;
  measures: (Measure & { ratios: number[]; verdict: Verdict })[];
  notes: string[];
}

export type Verdict = "pass" | "FAIL" | "shown";

/** Subject against control, repetition by repetition: what disturbs the machine for a while disturbs both of a pair. */
export function ratiosOf({ control, subject }: Measure): number[] {
  if (control.length !== subject.length) return [];
  return subject.map((value, repetition) => value / (control[repetition] as number));
}

export function verdictOf(measure: Measure): Verdict {
  const { bar } = measure;
  if (bar === "shown") return "shown";
  const { median } = spread(bar.of === "ratio" ? ratiosOf(measure) : measure.subject);
  const holds = median <= (bar.atMost ?? Infinity) && median >= (bar.atLeast ?? -Infinity);
  return holds ? "pass" : "FAIL";
}

/** The measures of all rows as one Markdown table; `subjectName` heads the subject's column. */
export function toTable(reports: Report[], subjectName: string): string {
  const head = ["measure", "control", subjectName, "ratio", "bar", "verdict"];
  const lines = reports.flatMap((report) =>
    report.measures.map((measure) => [
      `${measure.name}${measure.unit === "" ? "" : ` (${measure.unit})`}`,
      show(measure.control),
      show(measure.subject),
      show(measure.ratios),
      showBar(measure.bar),
      measure.verdict,
    ]),
  );
  const widths = head.map((title, column) =>
    Math.max(title.length, ...lines.map((line) => (line[column] as string).length)),
  );
  const toLine = (cells: string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] as number)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [toLine(head), rule, ...lines.map(toLine)].join("\n");
}

export function describe({ cpu, cores, kernel, node, redis, packages }: Machine): string {
  const versions = Object.entries(packages).map(([name, version]) => `${name} ${version}`);
  return `${cpu}, ${cores} cores, Linux ${kernel}; Node ${node}, Redis ${redis}, ${versions.join(", ")}`;
}

export function save(report: Report): void {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(`${RESULTS}/${report.row}.json`, `${JSON.stringify(report, null, 2)}\n`);
}

function show(values: number[]): string {
  if (values.length === 0) return "–";
  const { median, min, max }: Spread = spread(values);
  return values.length === 1 ? round(median) : `${round(median)} (${round(min)}–${round(max)})`;
}

function showBar(bar: Measure["bar"]): string {
  if (bar === "shown") return "–";
  const limit = bar.atMost === undefined ? `≥ ${bar.atLeast}` : `≤ ${bar.atMost}`;
  return bar.of === "ratio" ? `${limit} ×` : limit;
}

const round = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2));
