import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const src = join(root, "src");

/** Makes dist/ out of src/ when it is missing or older. An installed package has no src/: its dist/ stands. */
export default function build() {
  if (isBuilt()) return;
  if (!existsSync(src))
    fail("dist/main.js is missing, and there is no src/ to build it from: install the package again");
  process.stderr.write("tidegate: building dist/ from src/\n");
  make();
}

function make() {
  const tsc = findCompiler();
  // The compiler reports on stdout; ours belongs to the command that comes next (a token, say).
  const { status, signal } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (status !== 0) fail(`the build failed (${signal ?? `exit code ${status}`})`);
  for (const name of names(src).filter((one) => one.endsWith(".lua")))
    copyFileSync(join(src, name), join(root, "dist", name));
}

function isBuilt() {
  const main = statSync(join(root, "dist/main.js"), { throwIfNoEntry: false });
  if (!main) return false;
  if (!existsSync(src)) return true;
  return names(src).every((name) => statSync(join(src, name)).mtimeMs <= main.mtimeMs);
}

/** @param {string} folder */
function names(folder) {
  return readdirSync(folder, { recursive: true, encoding: "utf8" });
}

function findCompiler() {
  try {
    return createRequire(import.meta.url).resolve("typescript/bin/tsc");
  } catch {
    return fail(
      "dist/ has to be built, and typescript is not installed: run `npm ci` (with devDependencies) first",
    );
  }
}

/**
 * @param {string} reason
 * @returns {never}
 */
function fail(reason) {
  process.stderr.write(`tidegate: ${reason}\n`);
  process.exit(1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) make();
