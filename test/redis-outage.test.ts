import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect } from "vitest";
import { freePort, until } from "../deploy/local/process.ts";
import { Authority } from "./support/certificates.ts";
import type { Client, Frame } from "./support/client.ts";
import { metric } from "./support/metrics.ts";
import { TcpProxy } from "./support/proxy.ts";
import { type GatewayNode, logOf, type RedisServer, type Stage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

/** Of a publish or subscribe while Redis is away. A client can tell it from every lasting refusal. */
const unavailable = { code: "backplane_unavailable", temporary: true };
const interrupted = { type: "subscribed", channel: "chat", resumed: false, reason: "history_lost" };

/** Subscribed to a channel that has had an event of which the history knows nothing. */
async function follow(stage: Stage, node: GatewayNode, redis: RedisServer): Promise<Client> {
  const client = await stage.client(node.webSocketUrl, { token: token(), channels: ["chat"] });
  await client.next("subscribed");
  await redis.cli("PUBLISH", "tidegate:chat", '"the first"');
  await client.next((frame) => frame.data === "the first");
  return client;
}

async function post(
  node: GatewayNode,
): Promise<{ status: number; body: Record<string, unknown>; retry: string | null }> {
  const response = await fetch(`${node.url}/v1/channels/chat/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${token()}`, "content-type": "application/json" },
    body: '{"data":"by HTTP"}',
  });
  const body = (await response.json()) as Record<string, unknown>;
  return { status: response.status, body, retry: response.headers.get("retry-after") };
}

/** Everything that asks Redis for something fails as documented, two seconds later at most (and some on a busy machine). */
async function expectUnavailable(node: GatewayNode, client: Client): Promise<void> {
  const start = performance.now();
  const [byHttp, byFrame, subscribe] = await Promise.all([
    post(node),
    client.request({ type: "publish", channel: "chat", data: 1 }),
    client.request({ type: "subscribe", channel: "another" }),
  ]);
  expect(performance.now() - start).toBeLessThan(3_000);
  expect(byHttp).toMatchObject({
    status: 503,
    body: { ...unavailable, status: 503 },
    retry: expect.any(String),
  });
  expect(byFrame).toMatchObject({ type: "error", ...unavailable });
  expect(subscribe).toMatchObject({ type: "error", channel: "another", ...unavailable });
}

/** The node is itself again, without anybody's help, and the client is still there and was told. */
async function expectHealed(node: GatewayNode, client: Client, redis: RedisServer): Promise<void> {
  await until(
    "events travel both ways",
    async () => (await metric(node, "tidegate_backplane_up")) === 1,
    10_000,
  );
  expect(await node.isReady()).toBe(true);
  expect(await post(node)).toMatchObject({ status: 201 });
  expect(await client.next((frame) => frame.resumed === false)).toMatchObject(interrupted);
  await client.next((frame) => frame.data === "by HTTP");
  await redis.cli("PUBLISH", "tidegate:chat", '"by redis-cli"');
  await client.next((frame) => frame.data === "by redis-cli");
  expect(await client.request({ type: "subscribe", channel: "another" })).toMatchObject({
    type: "subscribed",
  });
  expect(client.isOpen).toBe(true);
}

/** Asks all the time whether the node is alive. */
function watchHealth(stage: Stage, node: GatewayNode): { failures: string[]; asked: number } {
  const watch = { failures: [] as string[], asked: 0 };
  const ask = async () => {
    try {
      const response = await fetch(`${node.admin}/healthz`, { signal: AbortSignal.timeout(1_000) });
      await response.arrayBuffer();
      if (response.status !== 200) watch.failures.push(String(response.status));
    } catch (error) {
      watch.failures.push(String(error));
    }
    watch.asked++;
  };
  const timer = setInterval(() => void ask(), 100);
  stage.add({ stop: () => clearInterval(timer) });
  return watch;
}

async function millisecondsUntil(
  what: string,
  isTrue: () => Promise<boolean>,
  timeoutMs: number,
): Promise<number> {
  const start = performance.now();
  await until(what, isTrue, timeoutMs);
  return performance.now() - start;
}

describe.concurrent("a node whose Redis", () => {
  test("drops its subscriber connection five times subscribes to what is wanted, in batches", async ({
    stage,
  }) => {
    const redis = await stage.redis();
    const env = { TIDEGATE_MAX_CHANNELS_PER_CONNECTION: "0", TIDEGATE_COMMAND_RATE: "0" };
    const node = await stage.node({ redis, env });
    const clients = await stage.clients(5, node.webSocketUrl, { token: token() });
    const channelsOf = (i: number) => Array.from({ length: 500 }, (_, n) => ({ channel: `chat-${i}-${n}` }));
    for (const [i, client] of clients.entries()) {
      client.send({ type: "subscribe", ref: 0, channels: channelsOf(i) });
    }
    const isSubscribed = (client: Client) => client.frames.filter(({ ref }) => ref === 0).length === 500;
    await until("all are subscribed", () => clients.every(isSubscribed));
    const listening = async () =>
      (await redis.cli("PUBSUB", "CHANNELS")).split("\n").filter((name) => name !== "").length;
    const subscribeCalls = async () =>
      Number(/cmdstat_subscribe:calls=(\d+)/.exec(await redis.cli("INFO", "commandstats"))?.[1]);
    // Two Redis channels for each of ours, and those of the probe, of revocations, of histories deleted.
    expect(await listening()).toBe(5_003);

    for (let kill = 1; kill <= 5; kill++) {
      const callsBefore = await subscribeCalls();
      const connects = await metric(node, "tidegate_backplane_connects_total");
      expect(Number(await redis.cli("CLIENT", "KILL", "TYPE", "pubsub"))).toBe(1);
      // Leaves while the connection is down: its channels must not come back.
      if (kill === 3) clients.pop()?.stop();
      const wanted = clients.length * 1_000 + 3;
      await until(
        "it is subscribed again",
        async () =>
          (await metric(node, "tidegate_backplane_connects_total")) > connects &&
          (await metric(node, "tidegate_backplane_up")) === 1 &&
          (await listening()) === wanted,
      );
      expect((await subscribeCalls()) - callsBefore).toBeLessThanOrEqual(8);
      await Promise.all(
        clients.map(async (client, i) => {
          await redis.cli("PUBLISH", `tidegate:chat-${i}-499`, String(kill));
          await client.next((frame) => frame.data === kill);
        }),
      );
    }
    const [first] = clients as [Client];
    expect(first.frames.filter((frame) => frame.resumed === false)).toHaveLength(5 * 500);
    expect(first.frames.filter((frame) => frame.timestamp !== undefined)).toHaveLength(5);
    expect(await redis.cli("PUBSUB", "NUMPAT")).toBe("0");
  });

  test("is killed and started again keeps its sockets, says so, and heals", async ({ stage }) => {
    const redis = await stage.redis();
    const node = await stage.node({ redis, env: { TIDEGATE_BACKPLANE_GRACE: "1s" } });
    const client = await follow(stage, node, redis);
    const health = watchHealth(stage, node);
    redis.kill("SIGKILL");
    await redis.process.exited;
    await expectUnavailable(node, client);
    expect(
      await millisecondsUntil("readiness is red", async () => !(await node.isReady()), 5_000),
    ).toBeLessThan(2_500);
    const { checks } = (await (await fetch(`${node.admin}/readyz`)).json()) as { checks: object[] };
    expect(checks).toContainEqual({
      name: "backplane",
      ok: false,
      detail: expect.stringContaining("TIDEGATE_BACKPLANE_GRACE"),
    });
    await expectUnavailable(node, client);
    expect(await client.request({ type: "ping" })).toMatchObject({ type: "pong" });

    const again = await stage.redis({ port: redis.port });
    await expectHealed(node, client, again);
    expect(health.failures).toEqual([]);
    expect(health.asked).toBeGreaterThan(1);
  });

  test("hangs notices it within ten seconds, answers all the time, and heals", async ({ stage }) => {
    const redis = await stage.redis();
    const node = await stage.node({ redis, env: { TIDEGATE_BACKPLANE_GRACE: "1s" } });
    const client = await follow(stage, node, redis);
    const health = watchHealth(stage, node);
    redis.kill("SIGSTOP");
    const [, redAfter] = await Promise.all([
      expectUnavailable(node, client),
      millisecondsUntil("readiness is red", async () => !(await node.isReady()), 10_000),
    ]);
    expect(redAfter).toBeGreaterThan(1_000);
    expect(await metric(node, "tidegate_backplane_up")).toBe(0);
    expect(await client.request({ type: "ping" })).toMatchObject({ type: "pong" });
    await expectUnavailable(node, client);

    redis.kill("SIGCONT");
    await expectHealed(node, client, redis);
    expect(health.failures).toEqual([]);
    expect(health.asked).toBeGreaterThan(20);
  });

  test("falls silent behind a black hole notices it within ten seconds, and heals by new connections", async ({
    stage,
  }) => {
    const redis = await stage.redis();
    const proxy = stage.add(await TcpProxy.start(redis.port));
    const node = await stage.node({ env: { TIDEGATE_REDIS_URL: `redis://127.0.0.1:${proxy.port}` } });
    const client = await follow(stage, node, redis);
    const health = watchHealth(stage, node);
    expect(proxy.connections).toBe(2);
    proxy.swallow();
    await expectUnavailable(node, client);
    await millisecondsUntil(
      "it notices",
      async () => (await metric(node, "tidegate_backplane_up")) === 0,
      10_000,
    );
    await expectHealed(node, client, redis);
    expect(health.failures).toEqual([]);
    // The old connections are swallowed for ever: what Redis still sends there must not be heard twice.
    await redis.cli("PUBLISH", "tidegate:chat", '"once"');
    await client.next((frame) => frame.data === "once");
    await client.request({ type: "ping" });
    expect(client.events("chat").filter((event) => event.data === "once")).toHaveLength(1);
  });
});

describe.concurrent("on a channel that keeps its events", () => {
  const lost = (client: Client) => client.frames.filter((frame) => frame.resumed === false);
  const dataOf = (client: Client) => client.events("chat").map((event) => event.data);

  async function subscribed(stage: Stage, node: GatewayNode): Promise<Client> {
    const client = await stage.client(node.webSocketUrl, { token: token(), channels: ["chat"] });
    await client.next("subscribed");
    return client;
  }

  async function publish(client: Client, from: number, to: number): Promise<void> {
    for (let data = from; data <= to; data++)
      expect(await client.request({ type: "publish", channel: "chat", data })).toMatchObject({
        type: "published",
      });
  }

  const numbers = (to: number) => Array.from({ length: to }, (_, i) => i + 1);

  test("who misses events by a broken connection of the node gets them, and is told nothing", async ({
    stage,
  }) => {
    const redis = await stage.redis();
    const [cut, whole] = await Promise.all(["cut", "whole"].map((id) => stage.node({ redis, id })));
    const client = await subscribed(stage, cut as GatewayNode);
    const publisher = await stage.client((whole as GatewayNode).webSocketUrl, { token: token() });
    await publish(publisher, 1, 10);
    for (let round = 1; round <= 3; round++) {
      const connections = (await redis.cli("CLIENT", "LIST", "TYPE", "pubsub")).split("\n");
      const [, id = ""] =
        /^id=(\d+)/.exec(connections.find((one) => / name=tidegate-subscriber-cut /.test(one)) ?? "") ?? [];
      expect(await redis.cli("CLIENT", "KILL", "ID", id)).toBe("1");
      await publish(publisher, round * 10 + 1, round * 10 + 10);
      await client.next((frame) => frame.data === round * 10 + 10);
    }
    expect(dataOf(client)).toEqual(numbers(40));
    expect(lost(client)).toEqual([]);
  });

  test("nobody is told anything when Redis comes back with all that it had", async ({ stage }) => {
    const directory = await mkdtemp(join(tmpdir(), "tidegate-outage-"));
    stage.add({ stop: () => rm(directory, { recursive: true, force: true }) });
    const config = ["appendfsync always"];
    const redis = await stage.redis({ directory, config });
    const node = await stage.node({ redis });
    const client = await subscribed(stage, node);
    await publish(client, 1, 10);
    redis.kill("SIGKILL");
    await redis.process.exited;
    await stage.redis({ port: redis.port, directory, config });
    await until("events travel both ways", async () => (await metric(node, "tidegate_backplane_up")) === 1);
    await publish(client, 11, 20);
    await until("all came", () => dataOf(client).at(-1) === 20);
    expect(dataOf(client)).toEqual(numbers(20));
    expect(lost(client)).toEqual([]);
    const ids = client.events("chat").map((event) => (event.id as string).split(/[-:]/));
    expect(ids.map(([epoch, , offset]) => [epoch, offset])).toEqual(
      numbers(20).map((n) => [ids[0]?.[0], String(n)]),
    );
  });

  test("everybody is told once when Redis comes back with nothing, and the stream goes on", async ({
    stage,
  }) => {
    const redis = await stage.redis();
    const node = await stage.node({ redis });
    const clients = await Promise.all([1, 2].map(() => subscribed(stage, node)));
    const [client] = clients as [Client];
    await publish(client, 1, 10);
    redis.kill("SIGKILL");
    await redis.process.exited;
    await stage.redis({ port: redis.port });
    await until("events travel both ways", async () => (await metric(node, "tidegate_backplane_up")) === 1);
    await publish(client, 11, 20);
    for (const one of clients) {
      await until("all came", () => dataOf(one).at(-1) === 20);
      expect(dataOf(one)).toEqual(numbers(20));
      expect(lost(one)).toEqual([{ ...interrupted, id: expect.stringMatching(/:\d$/) }]);
      const told = one.frames.indexOf(lost(one)[0] as Frame);
      const next = one.frames.slice(told).find((frame) => frame.timestamp !== undefined);
      const offsetOf = (frame: Frame | undefined) => Number(String(frame?.id).split(":")[1]);
      expect(offsetOf(next), "it goes on behind the position that was told").toBe(
        offsetOf(one.frames[told]) + 1,
      );
    }
  });
});

describe.concurrent("behind Sentinel", () => {
  async function start(stage: Stage, sentinels: number) {
    const master = await stage.redis();
    const replica = await stage.redis({ replicaOf: master });
    const options = { master, quorum: Math.ceil(sentinels / 2), downAfterMs: 500 };
    const watchers = await Promise.all(Array.from({ length: sentinels }, () => stage.sentinel(options)));
    await until("the sentinels know each other and the replica", async () => {
      const states = await Promise.all(
        watchers.map((watcher) => watcher.cli("SENTINEL", "MASTER", "tidegate")),
      );
      return states.every((state) => {
        const lines = state.split("\n");
        const field = (name: string) => Number(lines[lines.indexOf(name) + 1]);
        return field("num-slaves") === 1 && field("num-other-sentinels") === sentinels - 1;
      });
    });
    const hosts = watchers.map((watcher) => `127.0.0.1:${watcher.port}`).join(",");
    const node = await stage.node({ env: { TIDEGATE_REDIS_URL: `redis+sentinel://${hosts}/tidegate` } });
    const client = await follow(stage, node, master);
    await master.cli("PUBLISH", "tidegate:chat", '"before"');
    await client.next((frame) => frame.data === "before");
    return { master, replica, watchers, node, client };
  }

  test("a node follows to the new master when the old one is killed", async ({ stage }) => {
    const { master, replica, node, client } = await start(stage, 3);
    master.kill("SIGKILL");
    await until("the replica is master", async () => (await replica.cli("ROLE")).startsWith("master"));
    await expectHealed(node, client, replica);
  });

  test("a node follows when the old master lives on as a replica", async ({ stage }) => {
    const { replica, watchers, node, client } = await start(stage, 1);
    await watchers[0]?.cli("SENTINEL", "FAILOVER", "tidegate");
    await until("the replica is master", async () => (await replica.cli("ROLE")).startsWith("master"));
    // Events published on a replica reach nobody else.
    const onNewMaster = async () => (await replica.cli("PUBSUB", "NUMSUB", "tidegate!chat")).endsWith("\n1");
    await until("the node listens at the new master", onNewMaster, 10_000);
    await expectHealed(node, client, replica);
  });

  test("a node gives the sentinels and the master each their own password, by TLS with an authority of one's own", async ({
    stage,
  }) => {
    const tls = stage.add(await Authority.make());
    const master = await stage.redis({ password: "of-the-master", tls });
    const config = [
      "port 0",
      `tls-cert-file "${tls.certificate}"`,
      `tls-key-file "${tls.key}"`,
      `tls-ca-cert-file "${tls.ca}"`,
      "tls-auth-clients no",
      "tls-replication yes",
    ];
    const port = await freePort();
    const password = "of-the-sentinel";
    await stage.sentinel({
      master,
      password,
      port: await freePort(),
      config: [...config, `tls-port ${port}`],
    });
    const url = `rediss+sentinel://:of-the-master@127.0.0.1:${port}/tidegate?sentinel_password=${password}`;
    const node = await stage.node({ env: { TIDEGATE_REDIS_URL: url, TIDEGATE_REDIS_CA_FILE: tls.ca } });
    const client = await follow(stage, node, master);
    await master.cli("PUBLISH", "tidegate:chat", "1");
    expect(await client.next("message")).toMatchObject({ data: 1 });
    expect(node.output.join("\n")).not.toMatch(/of-the-(master|sentinel)/);
  });

  test("a node says once a problem that lasts, however often it tries", async ({ stage }) => {
    const env = { TIDEGATE_REDIS_URL: "redis+sentinel://127.0.0.1:9/tidegate" };
    const node = await stage.node({ env, waitReady: false });
    const start = performance.now();
    await until("it has tried some times", () => performance.now() - start > 4_000);
    const problems = logOf(node).filter((entry) => /TIDEGATE_REDIS_URL/.test(entry.msg));
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.length).toBeLessThanOrEqual(2); // one a connection
  });
});
