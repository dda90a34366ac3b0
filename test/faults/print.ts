import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Report } from "../../src/verify/report.ts";
import { FAULTS } from "./faults.ts";

/*
 * The faults that nothing may be lost in without a word, as a table of what came of them.
 *
 *   npm run faults          all of them, some nine minutes
 */

const directory = mkdtempSync(join(tmpdir(), "tidegate-faults-"));
const file = join(directory, "reports");
const env = { ...process.env, FAULTS: "all", FAULTS_REPORT: file };
const { status } = spawnSync("npx", ["vitest", "run", "test/faults", "--reporter=dot"], {
  stdio: ["ignore", 2, 2],
  env,
});
const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
rmSync(directory, { recursive: true, force: true });
const reports = new Map(
  lines
    .map((line) => JSON.parse(line) as Report & { name: string; unavailable?: string })
    .map((report) => [report.name, report]),
);

const seconds = (ms: number | undefined) => (ms === undefined ? "–" : (ms / 1000).toFixed(1));
const rows = FAULTS.map(({ name }) => {
  const report = reports.get(name);
  if (!report) return [name, "FAILED: see above"];
  if (report.unavailable !== undefined) return [name, `not tried: ${report.unavailable}`];
  const { acknowledged, deliveries, recovered, silent, duplicated, reordered, conflicting, told } = report;
  const tellings = Object.entries(told).map(([reason, count]) => `${count} ${reason}`);
  const notTold = tellings.length === 0 ? "0" : tellings.join(", ");
  return [
    name,
    report.ok ? "pass" : "FAIL",
    ...[acknowledged, deliveries, recovered, silent, duplicated, reordered, conflicting].map(String),
    notTold,
    seconds(report.worstDetectionMs),
    seconds(report.latencyMs.max),
  ];
});
const head = [
  "while",
  "",
  "published",
  "delivered",
  "by resume",
  "lost silently",
  "twice",
  "out of order",
  "two values",
  "told of a loss",
  "told after, s",
  "latest, s",
];
for (const row of [head, head.map(() => "---"), ...rows]) process.stdout.write(`| ${row.join(" | ")} |\n`);
process.exitCode = status === 0 ? 0 : 1;
