import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import ts from "typescript";
import { BENCH, COMPILED } from "./paths.ts";

const OPTIONS: ts.CompilerOptions = {
  module: ts.ModuleKind.ESNext,
  target: ts.ScriptTarget.ES2022,
  rewriteRelativeImportExtensions: true,
  verbatimModuleSyntax: true,
};

/** Compiles the measured programs to plain JavaScript: under a loader its threads and hooks would be measured with them. */
export function compilePrograms(): void {
  rmSync(COMPILED, { recursive: true, force: true });
  for (const folder of ["load", "control"]) {
    mkdirSync(`${COMPILED}/${folder}`, { recursive: true });
    for (const file of readdirSync(`${BENCH}/${folder}`)) {
      const source = readFileSync(`${BENCH}/${folder}/${file}`, "utf8");
      const { outputText } = ts.transpileModule(source, { compilerOptions: OPTIONS, fileName: file });
      writeFileSync(`${COMPILED}/${folder}/${file.replace(/\.ts$/, ".js")}`, outputText);
    }
  }
  writeFileSync(`${COMPILED}/package.json`, '{"type":"module"}\n');
}
