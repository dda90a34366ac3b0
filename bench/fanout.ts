import { parseArgs } from "node:util";
import { run } from "./harness/child.ts";
import { compilePrograms } from "./harness/compile.ts";
import { describeMachine, requireTools } from "./harness/machine.ts";
import { startRedis } from "./harness/redis.ts";
import { describe, type Report, ratiosOf, save, toTable, verdictOf } from "./harness/report.ts";
import { startControl, tidegate } from "./harness/servers.ts";
import { rows } from "./rows/all.ts";
import type { Bench, Measure, Row } from "./rows/row.ts";

const USAGE = `Usage: npm run bench -- [options]
  --row <name>          one row (may be repeated): ${rows.map(({ name }) => name).join(", ")}
  --quick               short windows, one repetition: to see that it runs, not to conclude from
  --repetitions <n>     default 5
  --main <path>         the built node to measure, default dist/main.js
  --subject control     the control against itself: the noise of the harness
  --save                write bench/results/<row>.json`;

const { values: options } = parseArgs({
  options: {
    row: { type: "string", multiple: true, default: [] },
    quick: { type: "boolean", default: false },
    repetitions: { type: "string" },
    main: { type: "string" },
    subject: { type: "string", default: "tidegate" },
    save: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

async function main(): Promise<void> {
  if (options.help) return console.log(USAGE);
  if (options.save && options.subject === "control")
    throw new Error("the control's own figures are not results");
  requireTools();
  const wanted = options.row.map(findRow);
  const subject = options.subject === "control" ? startControl : tidegate(options.main);
  compilePrograms();
  const redis = await startRedis();
  const bench = {
    redis,
    control: startControl,
    subject,
    repetitions: Number(options.repetitions ?? (options.quick ? 1 : 5)),
    warmupMs: options.quick ? 1_000 : 3_000,
    windowMs: options.quick ? 3_000 : 10_000,
    settleMs: options.quick ? 2_000 : 5_000,
    patienceMs: options.quick ? 0 : 60_000,
  };
  const machine = describeMachine();
  console.log(describe(machine));
  const reports: Report[] = [];
  for (const row of wanted.length > 0 ? wanted : rows) reports.push(await runRow(row, bench));
  console.log(`\n${toTable(reports, options.subject)}`);
  if (reports.some(({ measures }) => measures.some(({ verdict }) => verdict === "FAIL")))
    process.exitCode = 1;

  async function runRow(row: Row, settings: Omit<Bench, "note">): Promise<Report> {
    console.log(`\n${row.name}: ${row.what}`);
    const notes: string[] = [];
    const note = (text: string): void => {
      notes.push(text);
      console.log(`  ${text}`);
    };
    // A row that cannot be finished is a result too, and must not take the other rows with it.
    const measures = await runUnlessSkipped(row, { ...settings, note }).catch((error: Error) => {
      note(`FAILED: ${error.message}`);
      process.exitCode = 1;
      return [];
    });
    const report: Report = {
      row: row.name,
      what: row.what,
      date: new Date().toISOString(),
      command: ["npm run bench --", ...process.argv.slice(2)].join(" "),
      machine,
      repetitions: settings.repetitions,
      windowMs: settings.windowMs,
      measures: measures.map((measure) => ({
        ...measure,
        ratios: ratiosOf(measure),
        verdict: verdictOf(measure),
      })),
      notes,
    };
    if (options.save) save(report);
    if (measures.length > 0) console.log(`\n${toTable([report], options.subject)}`);
    return report;
  }
}

async function runUnlessSkipped(row: Row, bench: Bench): Promise<Measure[]> {
  if (!row.nodesOnly || options.subject !== "control") return row.run(bench);
  bench.note("SKIPPED: the control does not do this");
  return [];
}

function findRow(name: string): Row {
  const row = rows.find((candidate) => candidate.name === name);
  if (row === undefined) throw new Error(`no row "${name}"\n${USAGE}`);
  return row;
}

await run(main);
