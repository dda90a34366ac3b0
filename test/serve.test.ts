import { cpSync, mkdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import jsonwebtoken, { type JwtPayload } from "jsonwebtoken";
import { describe, expect } from "vitest";
import { root } from "../deploy/local/process.ts";
import { folder, run, startTidegate, takenPort, tidegate } from "./support/run.ts";
import { test } from "./support/servers.ts";
import { SECRET } from "./support/token.ts";

const production = { TIDEGATE_JWT_SECRET: SECRET, TIDEGATE_ALLOWED_ORIGINS: "none" };

describe.concurrent("tidegate serve in development mode", () => {
  test("says loudly what it is, and prints a token and lines that work", async ({ stage }) => {
    const cwd = folder(stage);
    const node = startTidegate(stage, cwd, ["serve"]);
    const curl = await node.line(/^\s*curl -X POST /);
    const banner = node.output.join("\n");
    expect(banner).toMatch(/DEVELOPMENT MODE/);
    expect(banner).toMatch(/every origin allowed/);
    const [, url] = /HTTP API\s+(http:\S+)\/v1/.exec(banner) as unknown as [string, string];
    const printed = /^\s*(eyJ\S+)$/m.exec(banner)?.[1] as string;
    const [, address, bearer] = /wscat -c '(\S+)' -s tidegate\.v1 -s '(\S+)'/.exec(
      banner,
    ) as unknown as string[];
    expect(bearer).toBe(`bearer.${printed}`);

    // What wscat would do with that line.
    const client = await stage.client(address as string, { protocols: ["tidegate.v1", bearer as string] });
    expect(client.socket.protocol).toBe("tidegate.v1");
    await client.next("subscribed");
    const outcome = await run("sh", ["-c", curl]);
    expect([outcome.code, JSON.parse(outcome.stdout)]).toEqual([
      0,
      { channel: "chat-123", id: expect.any(String), listeners: 1 },
    ]);
    expect(await client.next("message")).toMatchObject({
      channel: "chat-123",
      data: { text: "Hello!" },
      sender: "dev",
    });

    const stream = await run("sh", ["-c", `${/^\s*curl -N .*$/m.exec(banner)?.[0]} -m 1`]);
    expect(stream.stdout).toContain("event: $welcome\n");
    const [page] = /http:\S+\/docs/.exec(banner) as unknown as [string];
    expect((await fetch(page)).status).toBe(200);

    const [, admin] = /admin\s+(http:\S+)\/readyz/.exec(banner) as unknown as [string, string];
    expect((await fetch(`${admin}/readyz`)).status).toBe(200);
    expect((jsonwebtoken.decode(printed) as JwtPayload).sub).toBe("dev");

    // A denial tells the developer what would have helped.
    const poor = (await tidegate(["token", "--grants", "{}"], { cwd })).stdout.trim();
    const denied = await fetch(`${url}/v1/channels/chat-123/events`, {
      method: "POST",
      headers: { authorization: `Bearer ${poor}`, "content-type": "application/json" },
      body: '{"data":1}',
    });
    expect(await denied.json()).toMatchObject({
      code: "forbidden",
      hint: expect.stringContaining('"chat-123"'),
    });

    // The secret is its owner's alone, and outlives the node.
    const secret = join(cwd, ".tidegate/development-secret");
    expect(statSync(secret).mode & 0o777).toBe(0o600);
    node.kill("SIGTERM");
    expect(await node.exited).toEqual({ code: 0, signal: null });
    const again = startTidegate(stage, cwd, ["serve"]);
    const api = /HTTP API\s+(http:\S+)\/v1/.exec(await again.line(/HTTP API/))?.[1];
    const explained = await fetch(`${api}/v1/explain?action=publish&channel=a`, {
      headers: { authorization: `Bearer ${printed}` },
    });
    expect(explained.status).toBe(200);
  });

  test("stays on loopback addresses", async () => {
    for (const env of [{ TIDEGATE_HOST: "0.0.0.0" }, { TIDEGATE_ADMIN_HOST: "::" }] as Record<
      string,
      string
    >[]) {
      const { code, stderr } = await tidegate(["serve"], { env });
      expect(code).toBe(78);
      expect(stderr).toMatch(/loopback/);
    }
  });

  test("works where nothing can be written", async ({ stage }) => {
    const node = startTidegate(stage, "/proc", ["serve"]);
    const line = await node.line(/^\s*curl /);
    expect((await run("sh", ["-c", line])).code).toBe(0);
  });
});

describe.concurrent("tidegate serve", () => {
  test("prints every problem of its configuration at once, and exits with 78", async () => {
    const env = {
      TIDEGATE_JWT_SECRET: "too-short",
      TIDEGATE_PORT: "tcp://10.0.0.1:8080",
      TIDEGATE_HEARTBEAT: "1s",
      TIDEGATE_REDIS_URL: "http://user:hunter2@redis",
      TIDEGATE_TRUSTED_PROXIES: "10.0.0.0/99",
      TIDEGATE_MAX_CONNECTIONS: "many",
      TIDEGATE_JWT_PUBLIC_KEY_FILE: "/nonexistent/key.pem",
    };
    const { code, stdout, stderr } = await tidegate(["serve", "--drain-time", "soon"], { env });
    expect([code, stdout]).toEqual([78, ""]);
    for (const name of Object.keys(env)) expect(stderr).toContain(name);
    expect(stderr).toMatch(/TIDEGATE_DRAIN_TIME.*soon/);
    expect(stderr).toMatch(/TIDEGATE_ALLOWED_ORIGINS is required in production/);
    expect(stderr).toMatch(/TIDEGATE_PORT.*enableServiceLinks: false/);
    expect(stderr).not.toMatch(/too-short|hunter2/);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test("warns about a variable that is no option", async ({ stage }) => {
    const env = { ...production, TIDEGATE_ALOWED_ORIGINS: "*", TIDEGATE_SERVICE_HOST: "10.0.0.1" };
    const node = startTidegate(stage, tmpdir(), ["serve"], env);
    await node.line(/"msg":"listening"/);
    const warnings = node.output.filter((line) => line.includes("is no option"));
    expect(warnings).toEqual([expect.stringContaining("TIDEGATE_ALOWED_ORIGINS")]);
  });

  test.for([["TIDEGATE_PORT"], ["TIDEGATE_ADMIN_PORT"]])(
    "says that the port of %s is taken, and exits",
    async ([name], { stage }) => {
      const port = await takenPort(stage);
      const env = {
        ...production,
        TIDEGATE_PORT: "0",
        TIDEGATE_ADMIN_PORT: "0",
        [name as string]: String(port),
      };
      const { code, stderr } = await tidegate(["serve"], { env });
      expect(code).toBe(1);
      expect(stderr).toMatch(
        new RegExp(`^tidegate: .*127\\.0\\.0\\.1:${port}.*(taken|in use).*${name}`, "m"),
      );
      expect(stderr).not.toMatch(/^\s+at /m);
    },
  );

  test("takes a flag before the environment before the file", async ({ stage }) => {
    const cwd = folder(stage);
    const file = join(cwd, "tidegate.json");
    const values = {
      node_id: "of-file",
      drain_time: "1s",
      heartbeat: "10s",
      allowed_origins: ["https://a.example"],
    };
    writeFileSync(file, JSON.stringify(values));
    const env = { TIDEGATE_JWT_SECRET: SECRET, TIDEGATE_NODE_ID: "of-env", TIDEGATE_HEARTBEAT: "20s" };
    const node = startTidegate(stage, cwd, ["--config", file, "serve", "--node-id", "of-flag"], env);
    expect(await node.line(/"msg":"listening"/)).toMatch(/"node":"of-flag"/);
    const { stdout } = await tidegate(["--config", file, "config"], { env });
    expect(stdout).toMatch(/TIDEGATE_NODE_ID=of-env +# environment/);
    expect(stdout).toMatch(/TIDEGATE_HEARTBEAT=20s +# environment/);
    expect(stdout).toMatch(/TIDEGATE_DRAIN_TIME=1s +# file/);
    expect(stdout).toMatch(/TIDEGATE_PORT=.* # default/);
    expect(stdout).toContain("https://a.example");
  });

  test("offers no flag for a secret", async () => {
    const { stdout } = await tidegate(["serve", "--help"]);
    expect(stdout).toMatch(/--max-connections/);
    expect(stdout).not.toMatch(/--jwt-secret|--redis-url/);
    expect((await tidegate(["serve", "--jwt-secret", SECRET])).code).not.toBe(0);
  });
});

test("a dist/ that is older than src/ is built again before a command runs", async ({ stage }) => {
  const copy = folder(stage);
  for (const name of ["node_modules", "package.json"]) symlinkSync(join(root, name), join(copy, name));
  for (const name of ["src", "bin", "tsconfig.json", "tsconfig.build.json"]) {
    cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  const main = join(copy, "dist/main.js");
  mkdirSync(join(copy, "dist"));
  writeFileSync(main, "throw new Error('this is the old one');");
  utimesSync(main, 0, 0);
  const version = () =>
    run(process.execPath, [join(copy, "bin/tidegate.js"), "--version"], { cwd: copy, timeoutMs: 60_000 });
  const built = await version();
  expect([built.code, built.stderr]).toEqual([0, expect.stringContaining("building")]);
  expect(built.stdout).toMatch(/^\d+\.\d+\.\d+\n$/); // the compiler's words go elsewhere
  expect(await version()).toMatchObject({ code: 0, stderr: "" });
}, 60_000);
