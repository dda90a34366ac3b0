import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./local/process.ts";

// Is the addon that runs the one that docs/supply.md speaks of? `tsx deploy/supply.ts [directory of the package]`

const directory = process.argv[2] ?? join(root, "node_modules/uWebSockets.js");
const page = readFileSync(join(root, "docs/supply.md"), "utf8");
const problems: string[] = [];

const [, specifier, version] = /`"uWebSockets.js": "(npm:uws-pack@([\d.]+))"`/.exec(page) ?? [];
const integrity = /`(sha512-[^`]+)`/.exec(page)?.[1];
expect("package.json asks for", read(join(root, "package.json")).dependencies["uWebSockets.js"], specifier);
expect(
  "the lock has",
  read(join(root, "package-lock.json")).packages["node_modules/uWebSockets.js"].integrity,
  integrity,
);
const installed = read(join(directory, "package.json"));
expect("installed is", `npm:${installed.name}@${installed.version}`, `npm:uws-pack@${version}`);

const rows = [...page.matchAll(/^\| `([\w.]+)` \| (\d+) \| `([0-9a-f]{64})` \| `([0-9a-f]{40})` \|$/gm)];
for (const [, name = "", size, sha256, blob] of rows) {
  const file = join(directory, name.endsWith(".node") ? "dist/bin" : "dist", name);
  if (!existsSync(file)) {
    problems.push(`${name} is missing`);
    continue;
  }
  const bytes = readFileSync(file);
  expect(`${name} has bytes`, String(bytes.length), size);
  expect(`${name} has sha256`, createHash("sha256").update(bytes).digest("hex"), sha256);
  expect(
    `${name} has git blob`,
    createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex"),
    blob,
  );
}

const loaded = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
for (const name of [loaded, "index.mjs", "uws.mjs"]) {
  if (!rows.some((row) => row[1] === name))
    problems.push(`docs/supply.md has no row for ${name}, which runs here`);
}

if (problems.length > 0) {
  console.error(`${directory} is not what docs/supply.md says:\n  ${problems.join("\n  ")}`);
  process.exit(1);
}
console.log(`${specifier}: ${rows.length} files as in docs/supply.md`);

function expect(what: string, found: string, wanted: string | undefined): void {
  if (found !== wanted) problems.push(`${what} ${found}, not ${wanted}`);
}

// biome-ignore lint/suspicious/noExplicitAny: npm's own files; a missing field fails the comparison or the script
function read(file: string): any {
  return JSON.parse(readFileSync(file, "utf8"));
}
