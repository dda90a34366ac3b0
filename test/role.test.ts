import { readFileSync } from "node:fs";
import { describe, expect } from "vitest";
import { root } from "../deploy/local/process.ts";
import { run } from "./support/run.ts";
import { test } from "./support/servers.ts";
import { SECRET } from "./support/token.ts";

/** What can make a request to somewhere else. Node's own `http` is there for the admin port. */
const OUTGOING = ["jwks-rsa", "axios", "undici", "got", "node-fetch", "ws"];

/** The packages that a process has loaded, as its memory map and its open log of modules tell. */
function loaded(lines: readonly string[]): string[] {
  const paths = lines.flatMap(
    (line) => /^module .*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(line)?.[1] ?? [],
  );
  return [...new Set(paths)].sort();
}

/** Prints each module as it is resolved. */
const spy = `data:text/javascript,${encodeURIComponent(`
import { register } from "node:module";
register("data:text/javascript," + encodeURIComponent(\`
  import { writeSync } from "node:fs";
  export async function load(url, context, next) {
    writeSync(1, "module " + url + "\\\\n");
    return await next(url, context);
  }
\`));
`)}`;

describe("an edge", () => {
  test("loads nothing that makes outgoing requests", async ({ stage }) => {
    const node = await stage.node({ args: ["--role", "edge"], nodeArgs: ["--import", spy] });
    const packages = loaded(node.output);
    expect(packages).toContain("prom-client"); // the spy sees
    expect(packages).toContain("ioredis");
    expect(packages.filter((name) => OUTGOING.includes(name))).toEqual([]);
    expect(node.output.filter((line) => /^module node:(https|http2|dgram)$/.test(line))).toEqual([]);
  });

  test("loads what fetches signing keys when it is told to, and says which role it has", async ({
    stage,
  }) => {
    const env = { TIDEGATE_JWKS_URL: "http://127.0.0.1:9/keys", TIDEGATE_JWT_SECRET: SECRET };
    const node = await stage.node({ args: ["--role", "edge"], nodeArgs: ["--import", spy], env });
    expect(loaded(node.output)).toContain("jwks-rsa");
    expect(node.output.some((line) => line.includes('"role":"edge"'))).toBe(true);
  });
});

describe("a worker", () => {
  test("does not start in a version that has no work for it, and says so", async () => {
    const env = { TIDEGATE_JWT_SECRET: SECRET, TIDEGATE_ALLOWED_ORIGINS: "none" };
    const { code, stderr } = await run("node", ["dist/main.js", "serve", "--role", "worker"], {
      cwd: root,
      env,
    });
    expect(code).not.toBe(0);
    expect(stderr).toContain("TIDEGATE_ROLE: this version has no work for a worker");
  });
});

test("the roles of the option table are those of the documents", () => {
  for (const role of ["edge", "worker", "all"])
    expect(readFileSync("README.md", "utf8")).toContain(`\`${role}\``);
});
