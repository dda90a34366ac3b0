import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { ROWS, type Row } from "./rows.ts";

/*
 * The faults and bad inputs that a gateway has to stand, as a table: passed, failed, or why not tried.
 *
 *   npm run rows            runs their tests
 */

interface Report {
  testResults: { name: string; assertionResults: { fullName: string; status: string }[] }[];
}

interface Outcome {
  readonly file: string;
  readonly name: string;
  readonly status: string;
}

function run(files: readonly string[]): Outcome[] {
  const directory = mkdtempSync(join(tmpdir(), "tidegate-rows-"));
  const report = join(directory, "report.json");
  try {
    const reporters = ["--reporter=dot", "--reporter=json", `--outputFile=${report}`];
    spawnSync("npx", ["vitest", "run", ...files, ...reporters], { stdio: ["ignore", 2, 2] });
    const { testResults } = JSON.parse(readFileSync(report, "utf8")) as Report;
    return testResults.flatMap(({ name, assertionResults }) =>
      assertionResults.map(({ fullName, status }) => ({
        file: relative(process.cwd(), name),
        name: fullName.trim(),
        status,
      })),
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function verdict({ shown }: Row, outcomes: readonly Outcome[]): string {
  if (typeof shown === "string") return `not tested: ${shown}`;
  const found = shown.map(([file, name]) =>
    outcomes.filter((one) => one.file === file && name.test(one.name)),
  );
  const missing = shown.filter((_, i) => found[i]?.length === 0);
  if (missing.length > 0)
    return `FAIL: no test ${missing.map(([file, name]) => `${file} ${name}`).join(", ")}`;
  const all = found.flat();
  const failed = all.filter(({ status }) => status === "failed");
  if (failed.length > 0) return `FAIL: ${failed.map(({ name }) => name).join("; ")}`;
  const passed = all.filter(({ status }) => status === "passed").length;
  return passed === 0 ? "not tested: not possible on this machine" : `pass (${passed})`;
}

const files = new Set(
  ROWS.flatMap(({ shown }) => (typeof shown === "string" ? [] : shown.map(([file]) => file))),
);
const outcomes = run([...files]);
const verdicts = ROWS.map((row) => ({ ...row, verdict: verdict(row, outcomes) }));
const width = Math.max(...ROWS.map(({ what }) => what.length));
for (const { id, what, verdict } of verdicts)
  console.log(`${id.padEnd(5)} ${what.padEnd(width)}  ${verdict}`);
process.exitCode = verdicts.some(({ verdict }) => verdict.startsWith("FAIL")) ? 1 : 0;
