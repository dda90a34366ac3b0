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
const machines = new Set(reports.map(({ machine }) => describe(machine)));
const commands = new Set(reports.map(({ command }) => `\`${command}\``));
console.log(
  `${[...machines].join("\n\n")}\n\n${[...commands].join(", ")}\n\n${toTable(reports, "tidegate")}`,
);
for (const { row, notes } of reports) {
  for (const note of notes.filter((text) => /FLAGGED|SKIPPED|FAILED/.test(text)))
    console.log(`\n- ${row}: ${note}`);
}
