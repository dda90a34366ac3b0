import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import jsonwebtoken, { type JwtPayload } from "jsonwebtoken";
import { describe, expect } from "vitest";
import { freePort, root } from "../deploy/local/process.ts";
import { OPTIONS } from "../src/config/options.ts";
import { folder, run, startTidegate, takenPort, tidegate } from "./support/run.ts";
import { test } from "./support/servers.ts";
import { SECRET, token } from "./support/token.ts";

const production = { TIDEGATE_JWT_SECRET: SECRET, TIDEGATE_ALLOWED_ORIGINS: "none" };

describe.concurrent("tidegate", () => {
  test("explains itself, and its commands", async () => {
    const { code, stdout } = await tidegate(["--help"]);
    expect(code).toBe(0);
    const commands = ["serve", "token", "publish", "subscribe", "doctor", "config"];
    for (const command of commands) {
      expect(stdout).toMatch(new RegExp(`^  ${command}\\b`, "m"));
    }
    const helps = await Promise.all(commands.map((command) => tidegate([command, "--help"])));
    expect(helps.map((help) => help.code)).toEqual(commands.map(() => 0));
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    expect((await tidegate(["--version"])).stdout.trim()).toBe(version);
  });

  test.for([
    [["unknown"]],
    [["--unknown"]],
    [["serve", "--unknown"]],
    [["publish", "chat"]],
    [["subscribe"]],
    [["token", "--ttl", "soon"]],
    [["token", "--grants", "nonsense"]],
    [["token", "surplus"]],
  ])("answers %j by its help and a failure", async ([args]) => {
    const { code, stdout, stderr } = await tidegate(args as string[], { env: production });
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/error: /);
    expect(stderr).toMatch(/Usage: tidegate/);
  });

  test("without a command is a failure that shows its help", async () => {
    const { code, stderr } = await tidegate([]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/Usage: tidegate/);
  });

  test("works from any folder, and when started by a link", async ({ stage }) => {
    const cwd = folder(stage);
    const linked = await run(
      "sh",
      ["-c", `ln -s "${join(root, "bin/tidegate.js")}" tidegate && ./tidegate --version`],
      { cwd },
    );
    expect([linked.code, linked.stderr]).toEqual([0, ""]);
  });
});

describe.concurrent("tidegate token", () => {
  test("mints what it is asked for", async () => {
    const env = {
      ...production,
      TIDEGATE_JWT_ISSUER: "https://issuer.example",
      TIDEGATE_JWT_AUDIENCE: "gateway",
    };
    const args = ["token", "--sub", "ann", "--grants", '{"chat-*":["subscribe"]}', "--ttl", "5m"];
    const { stdout } = await tidegate(args, { env });
    const claims = jsonwebtoken.verify(stdout.trim(), SECRET) as JwtPayload;
    expect(claims).toMatchObject({
      sub: "ann",
      channels: { "chat-*": ["subscribe"] },
      iss: "https://issuer.example",
      aud: "gateway",
    });
    expect((claims.exp as number) - (claims.iat as number)).toBe(300);
    expect(stdout).toMatch(/^\S+\n$/);
  });

  test("uses the newest of several secrets", async () => {
    const env = { ...production, TIDEGATE_JWT_SECRET: `${"n".repeat(32)} ${SECRET}` };
    const { stdout } = await tidegate(["token"], { env });
    expect(() => jsonwebtoken.verify(stdout.trim(), "n".repeat(32))).not.toThrow();
  });

  test("says why it cannot, where only public keys are configured", async () => {
    const env = { TIDEGATE_JWKS_URL: "https://keys.example", TIDEGATE_ALLOWED_ORIGINS: "none" };
    const { code, stdout, stderr } = await tidegate(["token"], { env });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/only public keys/);
  });
});

describe.concurrent("tidegate publish and subscribe", () => {
  test("reach each other through a node", async ({ stage }) => {
    const node = await stage.node();
    const tail = startTidegate(
      stage,
      tmpdir(),
      ["subscribe", "--url", node.url, "chat-123", "news"],
      production,
    );
    await tail.line(/"subscribed","channel":"news"/);
    const publish = (...args: string[]) =>
      tidegate(["publish", "--url", node.url, ...args], { env: production });
    const json = await publish("chat-123", '{"big":12345678901234567890}');
    expect([json.code, JSON.parse(json.stdout)]).toEqual([
      0,
      { channel: "chat-123", id: expect.any(String), listeners: 1 },
    ]);
    expect(await tail.line(/"channel":"chat-123".*"data"/)).toContain('"data":{"big":12345678901234567890}');
    expect((await publish("news", "plain words", "--type", "headline")).code).toBe(0);
    expect(await tail.line(/headline/)).toContain('"data":"plain words"');

    const refused = await publish("chat-123", "1", "--token", token({ channels: {} }));
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/403.*forbidden/);
    expect((await publish("job:1", "1")).code).toBe(1);
  });

  test("subscribe comes back by itself when its node does, and gives up when it is told to", async ({
    stage,
  }) => {
    const port = await freePort();
    const first = await stage.node({ port });
    const tail = startTidegate(stage, tmpdir(), ["subscribe", "--url", first.url, "chat-123"], production);
    await tail.line(/"subscribed"/);
    first.kill("SIGKILL");
    await tail.line(/connection lost.*again in/);
    await first.process.exited;
    const second = await stage.node({ id: "node2", port });
    await tail.line(/"welcome".*"node":"node2"/);
    expect(tail.isRunning).toBe(true);
    const refused = await tidegate(["subscribe", "--url", second.url, "a", "--token", "garbage"]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/401.*token_invalid/);
    const dead = await tidegate(["publish", "--url", "http://127.0.0.1:9", "a", "1", "--token", "x"]);
    expect(dead.code).toBe(1);
    expect(dead.stderr).toMatch(/127\.0\.0\.1:9|ECONNREFUSED/);
  });
});

describe.concurrent("tidegate doctor", () => {
  const line = (stdout: string, what: string) => stdout.split("\n").find((one) => one.includes(what)) ?? "";

  test("finds nothing wrong where nothing is", async ({ stage }) => {
    const redis = await stage.redis({ password: "hunter2" });
    const ports = { TIDEGATE_PORT: String(await freePort()), TIDEGATE_ADMIN_PORT: String(await freePort()) };
    const env = { ...production, ...ports, TIDEGATE_REDIS_URL: redis.url };
    const { code, stdout, stderr } = await tidegate(["doctor"], { env });
    expect([code, stderr]).toEqual([0, ""]);
    for (const what of ["Node.js", "uWebSockets.js", "open files", "public port", "admin port", "Redis"]) {
      expect(line(stdout, what)).toMatch(/^ok/);
    }
    expect(line(stdout, "Redis")).toMatch(/7\.\d+\.\d+, standalone, role master, round trip/);
    expect(stdout).not.toContain("hunter2");
  });

  test("finds what is wrong, all of it, and fails", async ({ stage }) => {
    const port = await takenPort(stage);
    const env = {
      ...production,
      TIDEGATE_PORT: String(port),
      TIDEGATE_ADMIN_PORT: String(await freePort()),
      TIDEGATE_MAX_CONNECTIONS: "1000000",
      TIDEGATE_REDIS_URL: "redis://:hunter2@127.0.0.1:9",
    };
    const { code, stdout } = await tidegate(["doctor"], { env });
    expect(code).toBe(1);
    expect(line(stdout, "public port")).toMatch(/^FAIL.*EADDRINUSE/);
    expect(line(stdout, "open files")).toMatch(/^FAIL.*1000000/);
    expect(line(stdout, "Redis")).toMatch(/^FAIL.*ECONNREFUSED/);
    expect(line(stdout, "admin port")).toMatch(/^ok/);
    expect(stdout).not.toContain("hunter2");
  });

  test("tells a Cluster, a replica and a wrong password apart", async ({ stage }) => {
    const master = await stage.redis({ password: "hunter2" });
    const replica = await stage.redis({ replicaOf: { port: master.port, password: "hunter2" } });
    const cluster = await stage.redis({ cluster: true });
    const found = async (url: string) => {
      const { stdout } = await tidegate(["doctor"], { env: { ...production, TIDEGATE_REDIS_URL: url } });
      return line(stdout, "Redis");
    };
    expect(await found(cluster.url)).toMatch(/^FAIL.*Cluster is not supported/);
    expect(await found(replica.url)).toMatch(/^FAIL.*role slave/);
    expect(await found(`redis://:wrong@127.0.0.1:${master.port}`)).toMatch(/^FAIL.*WRONGPASS/);
  });
});

describe.concurrent("tidegate config", () => {
  test("prints every option, with no secret in it", async ({ stage }) => {
    const file = join(folder(stage), "secret");
    writeFileSync(file, `${SECRET}\n`);
    const env = {
      TIDEGATE_JWT_SECRET_FILE: file,
      TIDEGATE_ALLOWED_ORIGINS: "same-origin",
      TIDEGATE_REDIS_URL: "redis://user:hunter2@127.0.0.1:6379",
    };
    const { code, stdout } = await tidegate(["config"], { env });
    expect(code).toBe(0);
    expect(stdout).toMatch(/production mode/);
    for (const name of Object.keys(OPTIONS))
      expect(stdout).toMatch(new RegExp(`^TIDEGATE_${name.toUpperCase()}=.* # `, "m"));
    expect(stdout).not.toMatch(new RegExp(`${SECRET}|hunter2`));
  });

  test("prints every problem instead, and fails", async () => {
    const { code, stdout, stderr } = await tidegate(["config"], {
      env: { TIDEGATE_PORT: "x", TIDEGATE_HEARTBEAT: "7" },
    });
    expect([code, stdout]).toEqual([78, ""]);
    expect(stderr).toMatch(/TIDEGATE_PORT[\s\S]*TIDEGATE_HEARTBEAT/);
  });
});
