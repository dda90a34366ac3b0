import { existsSync, readFileSync } from "node:fs";
import { RESULTS } from "./harness/paths.ts";
import { describe, type Report, toTable } from "./harness/report.ts";
import { rows } from "./rows/all.ts";

/** The saved results as Markdown, in the order of the rows: `npx tsx bench/tables.ts`. */
const reports = rows
  .map(({ name }) => `${RESULTS}/${name}.json`)
  .filter(existsSync)
  .map((file) => JSON.parse(readFileSync(file, "utf8")) as Report);

if (reports.length === 0) throw new Error("nothing saved: run `npm run bench -- --save` first");
/** Ratios travel from one machine to another; other figures do not, so each has its own table. */
const byMachine = new Map<string, Report[]>();
for (const report of reports) {
  const machine = describe(report.machine);
  byMachine.set(machine, [...(byMachine.get(machine) ?? []), report]);
}
for (const [machine, here] of byMachine) {
  const commands = new Set(here.map(({ command }) => `\`${command}\``));
  console.log(`${machine}\n\n${[...commands].join(", ")}\n\n${toTable(here, "tidegate")}\n`);
  for (const { row, notes } of here) {
    for (const note of notes.filter((text) => /FLAGGED|SKIPPED|FAILED/.test(text)))
      console.log(`- ${row}: ${note}`);
  }
}
