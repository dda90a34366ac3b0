import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect } from "vitest";
import { freePort, until } from "../deploy/local/process.ts";
import { CouldNotRun, DEFAULTS } from "../src/verify/options.ts";
import { type Report, renderReport } from "../src/verify/report.ts";
import { type GatewayNode, type Stage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";
import { expectKept, runVerify } from "./support/verify.ts";

const TIMEOUT_MS = 60_000;

const PROMISES = {
  lost: 0,
  silent: 0,
  duplicated: 0,
  reordered: 0,
  conflicting: 0,
  foreign: 0,
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

/** Some web server. */
async function startPage() {
  const page = { url: "", movedTo: undefined as string | undefined, stop: () => server.close() };
  const server = createServer((_, res) => {
    if (page.movedTo === undefined) res.writeHead(200, { "content-type": "text/html" }).end("<p>Welcome</p>");
    else res.writeHead(301, { location: page.movedTo }).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  page.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return page;
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

  test("waits long enough for those who follow a node that stands still", async ({ stage }) => {
    const redis = await stage.redis();
    const nodes: GatewayNode[] = [];
    for (const id of ["node1", "node2"])
      nodes.push(
        await stage.node({ redis, id, env: { TIDEGATE_HEARTBEAT: "10s", TIDEGATE_PONG_TIMEOUT: "2s" } }),
      );
    const haproxy = await stage.haproxy({ nodes });
    await haproxy.waitForNodes(2);
    const { settleMs } = DEFAULTS;
    const report = await runVerify(
      haproxy.url,
      { durationMs: 0, reconnectMs: 0, settleMs },
      {
        async onStarted() {
          await sleep(1_000);
          nodes[0]?.kill("SIGSTOP");
          await sleep(500);
        },
      },
    );
    nodes[0]?.kill("SIGCONT");
    expectKept(report);
    expect(report.reconnects.lost).toBeGreaterThan(0);
    // With the heartbeat that nodes have by default.
    expect(settleMs).toBeGreaterThan(35_000 + DEFAULTS.maxRetryMs);
  });

  test("finds every promise kept in channels with presence", async ({ stage }) => {
    const { redis, node } = await nodeWithRedis(stage, { TIDEGATE_PRESENCE: "verify-*" });
    const report = await runVerify(
      node.url,
      { channels: 1, clients: 10 },
      {
        // Somebody comes, goes and comes again: the same `$join` twice.
        async onStarted() {
          const [channel = ""] = /verify-\w+-0/.exec(await redis.cli("KEYS", "tidegate.log:*")) ?? [];
          const joining = (sub: string) => ({ token: token({ sub }), channels: [channel] });
          const bob = await stage.client(node.webSocketUrl, joining("bob"));
          await bob.next("subscribed");
          const seen = (type: string) =>
            bob.frames.filter(
              (frame) => frame.type === type && (frame.data as { user: string }).user === "ann",
            );
          for (const times of [1, 2]) {
            const ann = await stage.client(node.webSocketUrl, joining("ann"));
            await until("ann is there", () => seen("$join").length === times);
            ann.socket.close();
            await until("ann is gone", () => seen("$leave").length === times);
          }
        },
      },
    );
    expectKept(report);
    expect(report.deliveries).toBe(10 * report.acknowledged);
  });

  test("does not try to get in where a rule of the server lets everybody in", async ({ stage }) => {
    const unauthorised = async (actions: string) => {
      const { node } = await nodeWithRedis(stage, { TIDEGATE_GRANTS: `{"verify-*":[${actions}]}` });
      const report = await runVerify(node.url);
      expectKept(report);
      return /^unauthorised +(.*)$/m.exec(renderReport(report))?.[1];
    };
    const [all, subscribe, history] = await Promise.all(
      ['"subscribe","history"', '"subscribe"', '"history"'].map(unauthorised),
    );
    const rule = String.raw`\(the server rule .* lets everybody in\)`;
    expect(all).toMatch(new RegExp(`^not tried: frame, query, stream, streams, history ${rule}$`));
    expect(subscribe).toMatch(
      new RegExp(`^0 .refused: history \\d+; not tried: frame, query, stream, streams ${rule}.$`),
    );
    expect(history).toMatch(new RegExp(`^0 .refused: frame .*; not tried: history ${rule}.$`));
  });

  test("cannot run where there is nobody, no grant, or no history", async ({ stage }) => {
    const off = await stage.node({ env: { TIDEGATE_HISTORY: '{"*":"off"}' } });
    const node = await stage.node();
    const subscriber = (sub: string) => token({ sub, channels: { "*": ["subscribe"] } });
    const few = { clients: 2, durationMs: 1_000, settleMs: 1_000 };
    expect(await refusalOf(runVerify(off.url, few))).toContain("keeps no history");
    for (const channels of [1, 3]) {
      const load = { ...few, transports: ["sse"], channels } as const;
      expect(await refusalOf(runVerify(off.url, load))).toMatch(/verify-\S+ keeps no history/);
    }
    expect(await refusalOf(runVerify(node.url, { ...few, token: () => "x" }))).toMatch(/refused: 401/);
    expect(await refusalOf(runVerify(node.url, { ...few, token: () => token({ channels: {} }) }))).toContain(
      "forbidden",
    );
    expect(await refusalOf(runVerify(node.url, { ...few, token: subscriber }))).toContain("forbidden");
    expect(await refusalOf(runVerify(`http://127.0.0.1:${await freePort()}`, few))).toMatch(/ECONNREFUSED/);
    expect(await refusalOf(runVerify("gateway.example.com", few))).toContain("is not a URL");
    expect(await refusalOf(runVerify(`${node.url}/gateway`, few))).toContain("has a path");
  });

  test("says what is at an address where there is no gateway", async ({ stage }) => {
    const page = stage.add(await startPage());
    for (const transport of ["ws", "sse"] as const) {
      const load = { clients: 1, durationMs: 1_000, transports: [transport] };
      expect(await refusalOf(runVerify(page.url, load))).toContain("a web page (text/html), and no gateway");
      page.movedTo = "https://elsewhere.example";
      expect(await refusalOf(runVerify(page.url, load))).toContain(
        "it has moved to https://elsewhere.example",
      );
      page.movedTo = undefined;
    }
  });

  test("says soon that Redis cannot be reached, and why", async ({ stage }) => {
    const { node } = await nodeWithRedis(stage);
    const start = performance.now();
    const via = { redis: `redis://127.0.0.1:${await freePort()}`, prefix: "tidegate" };
    const refusal = await refusalOf(runVerify(node.url, { via, durationMs: 30_000 }));
    expect(refusal).toMatch(/^nothing could be published: .*ECONNREFUSED/);
    expect(performance.now() - start).toBeLessThan(15_000);
  });
});
