import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect } from "vitest";
import { freePort, until } from "../deploy/local/process.ts";
import { CouldNotRun } from "../src/verify/options.ts";
import type { Report } from "../src/verify/report.ts";
import { folder, startTidegate, tidegate } from "./support/run.ts";
import { type GatewayNode, type Stage, test } from "./support/servers.ts";
import { SECRET, token } from "./support/token.ts";
import { expectKept, runVerify } from "./support/verify.ts";

const TIMEOUT_MS = 60_000;

const PROMISES = {
  lost: 0,
  silent: 0,
  duplicated: 0,
  reordered: 0,
  conflicting: 0,
  unauthorised: 0,
  absent: 0,
  told: {},
};

async function nodeWithRedis(stage: Stage, env: Record<string, string> = {}) {
  const redis = await stage.redis();
  return { redis, node: await stage.node({ redis, env }) };
}

/** What happens in three seconds on a busy machine too. */
function expectBusy(report: Report): void {
  expect(report.acknowledged).toBeGreaterThan(50);
  expect(report.deliveries).toBeGreaterThan(5 * report.acknowledged);
  expect(report.recovered).toBeGreaterThan(0);
  expect(report.reconnects.cut).toBeGreaterThan(0);
  expect(report.reconnects.moved).toBeGreaterThan(0);
  expect(report.resumes.resumed).toBeGreaterThan(0);
  expect(report.latencyMs.p50).toBeGreaterThan(0);
  expect(report.latencyMs.max).toBeGreaterThanOrEqual(report.latencyMs.p99);
}

async function refusalOf(run: Promise<Report>): Promise<string> {
  const error: unknown = await run.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CouldNotRun);
  return (error as Error).message;
}

describe.concurrent("verify", { timeout: TIMEOUT_MS }, () => {
  test("finds every promise kept on each of two nodes at once", async ({ stage }) => {
    const { redis, node } = await nodeWithRedis(stage);
    const second = await stage.node({ redis, id: "node2" });
    const [first, other] = await Promise.all([runVerify(node.url), runVerify(second.url)]);
    for (const report of [first, other]) {
      expectKept(report);
      expectBusy(report);
      expect(report).toMatchObject({ ...PROMISES, givenUp: 0, failures: {} });
    }
  });

  test("publishes over HTTP and through Redis as well", async ({ stage }) => {
    const { redis, node } = await nodeWithRedis(stage);
    const reports = await Promise.all([
      runVerify(node.url, { via: "http" }),
      runVerify(node.url, { via: { redis: redis.url, prefix: "tidegate" } }),
    ]);
    for (const report of reports) {
      expectKept(report);
      expectBusy(report);
    }
  });

  test("finds every promise kept on a node without Redis", async ({ stage }) => {
    const node = await stage.node();
    const report = await runVerify(node.url);
    expectKept(report);
    expectBusy(report);
  });

  test("finds every promise kept while the node's subscriber connection is killed", async ({ stage }) => {
    const { redis, node } = await nodeWithRedis(stage);
    const report = await runVerify(
      node.url,
      {},
      {
        async onStarted() {
          for (let kill = 0; kill < 5; kill++) {
            await sleep(500);
            await redis.cli("CLIENT", "KILL", "TYPE", "pubsub");
          }
        },
      },
    );
    expectKept(report);
    expectBusy(report);
  });

  test("finds every promise kept behind HAProxy while one node drains and another dies", async ({
    stage,
  }) => {
    const redis = await stage.redis();
    const nodes: GatewayNode[] = [];
    for (const id of ["node1", "node2", "node3"])
      nodes.push(await stage.node({ redis, id, env: { TIDEGATE_DRAIN_TIME: "2s" } }));
    const haproxy = await stage.haproxy({ nodes });
    await haproxy.waitForNodes(3);
    const report = await runVerify(
      haproxy.url,
      { durationMs: 6_000, reconnectMs: 0 },
      {
        async onStarted() {
          await sleep(1_000);
          nodes[0]?.kill("SIGTERM");
          await sleep(3_000);
          nodes[1]?.kill("SIGKILL");
        },
      },
    );
    expectKept(report);
    expect(report.reconnects.cut).toBe(0);
    expect(report.reconnects.moved).toBeGreaterThan(0);
    expect(report.reconnects.lost).toBeGreaterThan(0);
    expect(report.recovered).toBeGreaterThan(0);
  });

  test("fails when Redis loses everything, unless that is meant, and says that clients were told", async ({
    stage,
  }) => {
    const { redis, node } = await nodeWithRedis(stage);
    const flush = {
      async onStarted() {
        await sleep(1_500);
        await redis.cli("FLUSHALL");
      },
    };
    const [strict, lenient] = await Promise.all([
      runVerify(node.url, {}, flush),
      runVerify(node.url, { allowTold: true }),
    ]);
    expect(strict.ok).toBe(false);
    expect(strict.why).toEqual([expect.stringMatching(/a client was told of a loss/)]);
    expectKept(lenient);
    for (const report of [strict, lenient]) {
      expect(report.silent).toBe(0);
      expect(report.told.history_lost).toBeGreaterThan(0);
    }
  });

  test("ends before its time when it is told to, with a report", async ({ stage }) => {
    const node = await stage.node();
    const stop = new AbortController();
    const start = performance.now();
    const report = await runVerify(
      node.url,
      { durationMs: 600_000 },
      {
        signal: stop.signal,
        onStarted: async () => {
          await sleep(1_000);
          stop.abort();
        },
      },
    );
    expectKept(report);
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  test("cannot run where there is nobody, no grant, or no history", async ({ stage }) => {
    const off = await stage.node({ env: { TIDEGATE_HISTORY: '{"*":"off"}' } });
    const node = await stage.node();
    const subscriber = (sub: string) => token({ sub, channels: { "*": ["subscribe"] } });
    const few = { clients: 2, durationMs: 1_000, settleMs: 1_000 };
    expect(await refusalOf(runVerify(off.url, few))).toContain("keeps no history");
    expect(await refusalOf(runVerify(node.url, { ...few, token: () => "x" }))).toMatch(/refused: 401/);
    expect(await refusalOf(runVerify(node.url, { ...few, token: () => token({ channels: {} }) }))).toContain(
      "forbidden",
    );
    expect(await refusalOf(runVerify(node.url, { ...few, token: subscriber }))).toContain("forbidden");
    expect(await refusalOf(runVerify(`http://127.0.0.1:${await freePort()}`, few))).toMatch(/ECONNREFUSED/);
    expect(await refusalOf(runVerify("gateway.example.com", few))).toContain("is not a URL");
  });
});

describe.concurrent("tidegate verify", { timeout: TIMEOUT_MS }, () => {
  const env = { TIDEGATE_JWT_SECRET: SECRET, TIDEGATE_ALLOWED_ORIGINS: "none" };
  const quick = ["--duration", "1s", "--clients", "10", "--reconnect", "500ms", "--settle", "5s"];

  test("prints a report and exits 0 when every promise was kept", async ({ stage }) => {
    const node = await stage.node();
    const { code, stdout, stderr } = await tidegate(["verify", node.url, ...quick], {
      env,
      timeoutMs: 30_000,
    });
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^lost {10}0 \(silent 0, told 0\)$/m);
    expect(stdout).toMatch(/^unauthorised {2}0$/m);
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
    expect(await tidegate(["verify", node.url, "--token", "x", "--via", "mail"])).toMatchObject({ code: 2 });
    expect(await tidegate(["verify", node.url, "--clients", "none"])).toMatchObject({ code: 2 });
  });

  test("as a canary it runs on, and its metrics say what it finds", async ({ stage }) => {
    const { redis, node } = await nodeWithRedis(stage);
    const canary = startTidegate(
      stage,
      folder(stage),
      ["verify", node.url, "--canary", "--rate", "20", "--metrics-port", "0"],
      env,
    );
    const [, url = ""] = /metrics on (\S+)/.exec(await canary.line(/metrics on/)) ?? [];
    const series = async (name: string) => {
      const text = await (await fetch(url)).text();
      return Number(new RegExp(`^tidegate_verify_${name} (\\S+)$`, "m").exec(text)?.[1]);
    };
    await until("events flow", async () => (await series("deliveries_total")) > 30);
    await until("all are there at a time", async () => (await series("clients")) === 3);
    expect(await series("latency_seconds_count")).toBeGreaterThan(0);
    for (const what of ["lost", "silent", "told", "duplicated", "reordered", "conflicting"])
      expect(await series(`${what}_total`), what).toBe(0);
    await redis.cli("FLUSHALL");
    await canary.line(/ told: \d+ more, \d+ in all$/);
    expect(await series("told_total")).toBeGreaterThan(0);
    expect(await series("silent_total")).toBe(0);
    canary.kill("SIGTERM");
    expect(await canary.exited).toEqual({ code: 0, signal: null });
  });
});
