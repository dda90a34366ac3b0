import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import type { Report } from "../src/verify/report.ts";
import { folder, startTidegate, tidegate } from "./support/run.ts";
import { type GatewayNode, type Stage, test } from "./support/servers.ts";
import { SECRET, token } from "./support/token.ts";

/* `tidegate verify` as a command: what it prints, how it exits, and how it runs on as a canary. */

const TIMEOUT_MS = 60_000;
const env = { TIDEGATE_JWT_SECRET: SECRET, TIDEGATE_ALLOWED_ORIGINS: "none" };
const quick = ["--duration", "1s", "--clients", "10", "--reconnect", "500ms", "--settle", "5s"];

async function nodeWithRedis(stage: Stage) {
  const redis = await stage.redis();
  return { redis, node: await stage.node({ redis }) };
}

describe.concurrent("tidegate verify", { timeout: TIMEOUT_MS }, () => {
  test("prints a report and exits 0 when every promise was kept", async ({ stage }) => {
    const node = await stage.node();
    const { code, stdout, stderr } = await tidegate(["verify", node.url, ...quick], {
      env,
      timeoutMs: 30_000,
    });
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^lost {10}0 \(silent 0, told 0\)$/m);
    expect(stdout).toMatch(
      /^unauthorised {2}0 \(refused: frame \d+, query \d+, stream \d+, streams \d+, history \d+\)$/m,
    );
    expect(stdout).toContain("Every promise was kept.");
    expect(code).toBe(0);
  });

  test("prints one JSON object, and exits 1 when a promise was broken", async ({ stage }) => {
    const { redis, node } = await nodeWithRedis(stage);
    const given = ["--token", token(), "--via", "redis", "--duration", "6s", "--json"];
    const run = tidegate(["verify", node.url, ...quick, ...given], {
      env: { TIDEGATE_REDIS_URL: redis.url },
      timeoutMs: 30_000,
    });
    await until("events flow", async () => (await redis.cli("KEYS", "tidegate.log:*")) !== "");
    await redis.cli("FLUSHALL");
    const { code, stdout } = await run;
    const report = JSON.parse(stdout) as Report;
    expect(report).toMatchObject({ ok: false, silent: 0, duplicated: 0, reordered: 0 });
    expect(report.told.history_lost).toBeGreaterThan(0);
    expect(report).not.toHaveProperty("unauthorised"); // no secret to mint a stranger's token with
    expect(code).toBe(1);
  });

  test("exits 2 when it could not run", async ({ stage }) => {
    const node = await stage.node();
    const { code, stderr } = await tidegate(["verify", node.url, "--token", "x"]);
    expect(stderr).toMatch(/^tidegate: could not run: refused: 401/);
    expect(code).toBe(2);
    const wrong = [
      [["--token", "x", "--via", "mail"], "--via is ws, http"],
      [["--clients", "none"], "is not an integer"],
      [["--token", "t\u00f6ken"], "characters that no header takes"],
      [["--token", "x", "--duration", "600h"], "is not between 0s and 2147483.647s"],
    ] as const;
    for (const [args, message] of wrong) {
      const outcome = await tidegate(["verify", node.url, ...args], { env });
      expect(outcome.stderr).toContain(message);
      expect(outcome.code, message).toBe(2);
    }
  });

  test("exits 2 where there is no secret to mint tokens with", async ({ stage }) => {
    const node = await stage.node();
    const keys = { TIDEGATE_JWKS_URL: "https://keys.example.com/jwks", TIDEGATE_ALLOWED_ORIGINS: "none" };
    const { code, stderr } = await tidegate(["verify", node.url], { env: keys });
    expect(stderr).toMatch(/could not run: only public keys are configured: .*--token/);
    expect(code).toBe(2);
  });

  test("exits 2 when its token ends before the run, and no promise was broken", async ({ stage }) => {
    const node = await stage.node();
    const args = ["--token", token({ expiresIn: "5s" }), "--duration", "8s", "--json"];
    const { code, stdout } = await tidegate(["verify", node.url, ...quick, ...args], { timeoutMs: 30_000 });
    const report = JSON.parse(stdout) as Report;
    expect(report).toMatchObject({ ok: false, silent: 0, absent: 0, why: report.problems });
    expect(report.problems.join()).toMatch(/401/);
    expect(code).toBe(2);
  });

  test("ends at once when it is told to before it has begun", async ({ stage }) => {
    const deaf = createServer(() => {}).listen(0, "127.0.0.1");
    stage.add({ stop: () => deaf.close().closeAllConnections() });
    await once(deaf, "listening");
    const asked = once(deaf, "request");
    const url = `http://127.0.0.1:${(deaf.address() as AddressInfo).port}`;
    const run = startTidegate(stage, folder(stage), ["verify", url, "--transports", "sse"], env);
    await asked;
    await sleep(300);
    const start = performance.now();
    run.kill("SIGINT");
    expect(await run.exited).toEqual({ code: 2, signal: null });
    expect(performance.now() - start).toBeLessThan(2_000);
  });
});

async function startCanary(stage: Stage, node: GatewayNode, args: readonly string[] = []) {
  const canary = startTidegate(
    stage,
    folder(stage),
    ["verify", node.url, "--canary", "--rate", "20", "--metrics-port", "0", ...args],
    env,
  );
  const [, url = ""] = /metrics on (\S+)/.exec(await canary.line(/metrics on/)) ?? [];
  const series = async (name: string) => {
    const text = await (await fetch(url)).text();
    return Number(new RegExp(`^tidegate_verify_${name} (\\S+)$`, "m").exec(text)?.[1]);
  };
  await until("events flow", async () => (await series("deliveries_total")) > 30);
  return { canary, series };
}

describe.concurrent("as a canary", { timeout: TIMEOUT_MS }, () => {
  test("it runs on, and its metrics say what it finds", async ({ stage }) => {
    const { redis, node } = await nodeWithRedis(stage);
    const { canary, series } = await startCanary(stage, node);
    await until("all are there at a time", async () => (await series("clients")) === 4);
    await until("somebody has tried to get in", async () => (await series("refused_total")) > 5);
    expect(await series("latency_seconds_count")).toBeGreaterThan(0);
    const violations = ["lost", "silent", "told", "duplicated", "reordered", "conflicting"];
    for (const what of [...violations, "foreign", "unauthorised"])
      expect(await series(`${what}_total`), what).toBe(0);
    await redis.cli("FLUSHALL");
    await canary.line(/ told: \d+ more, \d+ in all$/);
    expect(await series("told_total")).toBeGreaterThan(0);
    expect(await series("silent_total")).toBe(0);
    canary.kill("SIGTERM");
    expect(await canary.exited).toEqual({ code: 0, signal: null });
  });

  test("it says when nobody without a grant can try to get in", async ({ stage }) => {
    const node = await stage.node();
    const { canary } = await startCanary(stage, node, ["--token", token()]);
    await canary.line(/^somebody without a grant: not tried: needs a secret/);
  });

  test("it ends when it may not publish any more", async ({ stage }) => {
    const { node } = await nodeWithRedis(stage);
    const { canary } = await startCanary(stage, node);
    const users = ["verify-publisher-0", "verify-publisher-1"];
    for (const user of users)
      await fetch(`${node.url}/v1/users/${user}/connections`, {
        method: "DELETE",
        headers: { authorization: `Bearer ${token({ claims: { admin: ["connections"] } })}` },
      });
    expect(await canary.exited).toEqual({ code: 2, signal: null });
    expect(canary.output.join("\n")).toMatch(/could not run: cannot publish: closed: 4504/);
  });

  test("it does not begin where it may not publish", async ({ stage }) => {
    const node = await stage.node();
    const subscriber = token({ channels: { "verify-*": ["subscribe"] } });
    const args = ["verify", node.url, "--canary", "--metrics-port", "0", "--token", subscriber];
    const { code, stderr } = await tidegate(args, { timeoutMs: 10_000 });
    expect(stderr).toContain("could not run: cannot publish: forbidden");
    expect(code).toBe(2);
  });
});
