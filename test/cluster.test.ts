import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect } from "vitest";
import { freePort, root, until } from "../deploy/local/process.ts";
import { Client, type Frame } from "./support/client.ts";
import { run } from "./support/run.ts";
import {
  type GatewayNode,
  type Haproxy,
  type RedisServer,
  type Stage,
  sharedStage,
  test,
} from "./support/servers.ts";
import { token } from "./support/token.ts";

// Three nodes, a real Redis and a real HAProxy; clients of a library that is not ours come in by wss.

const stage = sharedStage();
let redis: RedisServer;
let nodes: GatewayNode[];
let haproxy: Haproxy;
let ca: Buffer;

async function startNode(id: string, like?: GatewayNode): Promise<GatewayNode> {
  const env = {
    TIDEGATE_TRUSTED_PROXIES: "127.0.0.1/32",
    TIDEGATE_DRAIN_TIME: "8s",
    TIDEGATE_COMMAND_RATE: "0",
  };
  // Ports to which it can come back: those of port 0 may be somebody's outgoing connection by then.
  const ports = like ?? { port: await freePort(), adminPort: await freePort() };
  return stage.node({ id, redis, env, graceMs: 1_000, port: ports.port, adminPort: ports.adminPort });
}

beforeAll(async () => {
  redis = await stage.redis();
  nodes = await Promise.all(["node1", "node2", "node3"].map((id) => startNode(id)));
  haproxy = await stage.haproxy({ nodes });
  await haproxy.waitForNodes(3);
  ca = readFileSync(join(root, ".tidegate/certificate.pem"));
});

async function follow(stage: Stage, channel: string, headers: Record<string, string> = {}): Promise<Client> {
  const options = { token: token(), channels: [channel], headers, ca };
  const client = await stage.client(haproxy.secureWebSocketUrl, options);
  await client.next("subscribed");
  return client;
}

function followers(stage: Stage, count: number, channel: string): Promise<Client[]> {
  return Promise.all(Array.from({ length: count }, () => follow(stage, channel)));
}

const nodeOf = (client: Client) => client.frames[0]?.node as string;
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
const dataOf = (events: readonly Frame[]) => events.map((event) => event.data);

/** A client as a browser would be: it keeps its cookie, and comes back when its connection ends. */
class Returning {
  readonly clients: Client[] = [];
  readonly closes: { code: number; at: number }[] = [];
  refused = 0;
  #ended = false;
  readonly #channel: string;

  constructor(channel: string) {
    this.#channel = channel;
  }

  get client(): Client {
    return this.clients.at(-1) as Client;
  }

  /** All events, whichever connection they came by. */
  get data(): unknown[] {
    return this.clients.flatMap((client) => dataOf(client.events(this.#channel)));
  }

  async start(): Promise<this> {
    await this.#connect();
    return this;
  }

  stop(): void {
    this.#ended = true;
    for (const client of this.clients) client.stop();
  }

  async #connect(): Promise<void> {
    const cookie = this.clients.at(-1)?.cookies.join("; ").split(";")[0] ?? "";
    const options = { token: token(), channels: [this.#channel], headers: cookie ? { cookie } : {}, ca };
    const client = await Client.connect(haproxy.secureWebSocketUrl, options);
    if (this.#ended) return client.stop();
    this.clients.push(client);
    await client.next("subscribed");
    void client.closed.then(({ code }) => {
      this.closes.push({ code, at: performance.now() });
      return this.#comeBack();
    });
  }

  async #comeBack(): Promise<void> {
    while (!this.#ended) {
      try {
        return await this.#connect();
      } catch {
        this.refused++;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }
}

/** Publishes 0, 1, 2… every 20 ms. */
function keepPublishing(stage: Stage, channel: string): { count: number; stop(): void } {
  const publisher = { count: 0, stop: () => clearInterval(timer) };
  let last: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    const number = publisher.count++;
    last = last.then(() => redis.cli("PUBLISH", `tidegate:${channel}`, String(number)));
  }, 20);
  return stage.add(publisher);
}

describe("every subscriber on every node gets every event, in order, once, published by", () => {
  async function expectAll(clients: readonly Client[], channel: string, count: number): Promise<void> {
    const last = (client: Client) => client.events(channel).length >= count;
    await until("everybody has everything", () => clients.every(last));
    await Promise.all(clients.map((client) => client.request({ type: "ping" })));
    for (const client of clients) expect(dataOf(client.events(channel))).toEqual(numbers(count));
  }

  test("redis-cli", async ({ stage }) => {
    const clients = await followers(stage, 60, "by-redis");
    const spread = nodes.map((node) => clients.filter((client) => nodeOf(client) === node.id).length);
    expect(spread.reduce((sum, count) => sum + count)).toBe(60);
    expect(Math.min(...spread)).toBeGreaterThanOrEqual(15); // leastconn
    const lines = numbers(200).map((i) => `PUBLISH tidegate:by-redis ${i}`);
    const { stdout } = await run("redis-cli", ["-p", String(redis.port)], { input: lines.join("\n") });
    expect(stdout.trim().split("\n")).toEqual(lines.map(() => "3"));
    await expectAll(clients, "by-redis", 200);
  });

  test("HTTP through HAProxy", async ({ stage }) => {
    const clients = await followers(stage, 30, "by-http");
    for (const i of numbers(50)) {
      const response = await fetch(`${haproxy.url}/v1/channels/by-http/events`, {
        method: "POST",
        headers: { authorization: `Bearer ${token()}`, "content-type": "application/json" },
        body: `{"data":${i}}`,
      });
      expect([response.status, await response.json()]).toEqual([
        201,
        { channel: "by-http", id: expect.any(String), listeners: 3 },
      ]);
    }
    await expectAll(clients, "by-http", 50);
  });

  test("a client's frames", async ({ stage }) => {
    const clients = await followers(stage, 30, "by-frames");
    const publisher = clients[7] as Client;
    for (const i of numbers(200)) publisher.send({ type: "publish", channel: "by-frames", data: i });
    await expectAll(clients, "by-frames", 200);
    expect(clients[0]?.events("by-frames")[0]).toMatchObject({ sender: "user-1" });
  });

  test("clients of all nodes at once, in the order of each", async ({ stage }) => {
    const clients = await followers(stage, 30, "by-many");
    const publishers = nodes.map((node) => clients.find((client) => nodeOf(client) === node.id) as Client);
    for (const i of numbers(100)) {
      for (const [p, publisher] of publishers.entries()) {
        publisher.send({ type: "publish", channel: "by-many", data: { p, i } });
      }
    }
    await until("everybody has everything", () =>
      clients.every((client) => client.events("by-many").length === 300),
    );
    for (const client of clients) {
      const data = dataOf(client.events("by-many")) as { p: number; i: number }[];
      for (const p of publishers.keys())
        expect(data.filter((one) => one.p === p).map((one) => one.i)).toEqual(numbers(100));
    }
  });
});

test("when a node is killed its clients come back through HAProxy within ten seconds, and others do not notice", async ({
  stage,
}) => {
  const clients = await Promise.all(numbers(30).map(() => stage.add(new Returning("kill")).start()));
  const victim = nodes[1] as GatewayNode;
  const hit = clients.filter(({ client }) => nodeOf(client) === victim.id);
  const others = clients.filter((one) => !hit.includes(one));
  expect(hit.length).toBeGreaterThanOrEqual(5);
  const publishing = keepPublishing(stage, "kill");
  await until("events flow", () => clients.every(({ data }) => data.length > 5));

  const start = performance.now();
  victim.kill("SIGKILL");
  await until(
    "all are back",
    () => hit.every((one) => one.clients.length === 2 && one.client.isOpen),
    10_000,
  );
  expect(performance.now() - start).toBeLessThan(10_000);
  for (const one of hit) {
    expect(one.closes.map(({ code }) => code)).toEqual([1006]);
    expect(nodeOf(one.client)).not.toBe(victim.id);
  }
  const from = publishing.count;
  await until("events flow to all", () => clients.every(({ data }) => (data.at(-1) as number) >= from + 10));
  publishing.stop();
  await until("the last event is there", () =>
    clients.every(({ data }) => data.at(-1) === publishing.count - 1),
  );
  for (const one of others) {
    expect(one.clients).toHaveLength(1);
    expect(one.data).toEqual(numbers(publishing.count));
  }
  for (const one of hit) {
    const data = one.data as number[];
    // Once each and in order: a hole where the connection was missing, and nowhere else.
    const jumps = data.filter((number, i) => i > 0 && number !== (data[i - 1] as number) + 1);
    expect(jumps.length).toBeLessThanOrEqual(1);
    expect(data).toEqual([...new Set(data)].sort((a, b) => a - b));
  }

  // It comes back under its name, and is used again.
  await until("HAProxy took it out", async () =>
    (await haproxy.servers()).some(({ status }) => status === "DOWN"),
  );
  nodes[1] = await startNode(victim.id, victim);
  await haproxy.waitForNodes(3);
  const fresh = await followers(stage, 6, "kill");
  expect(fresh.filter((client) => nodeOf(client) === victim.id).length).toBeGreaterThanOrEqual(3);
  await redis.cli("PUBLISH", "tidegate:kill", '"to all"');
  await Promise.all(fresh.map((client) => client.next((frame) => frame.data === "to all")));
});

test("when a node is told to stop its clients go to the others, their cookies notwithstanding, and are never refused", async ({
  stage,
}) => {
  const clients = await Promise.all(numbers(30).map(() => stage.add(new Returning("drain")).start()));
  const leaving = nodes[2] as GatewayNode;
  const hit = clients.filter(({ client }) => nodeOf(client) === leaving.id);
  expect(hit.length).toBeGreaterThanOrEqual(5);
  leaving.kill("SIGTERM");
  expect(await leaving.process.exited).toEqual({ code: 0, signal: null });
  await until("all are back", () => hit.every((one) => one.client.isOpen));
  for (const one of hit) {
    expect(one.closes.map(({ code }) => code)).toEqual([4000]);
    expect(one.refused).toBe(0);
    expect(one.clients).toHaveLength(2);
  }
  await redis.cli("PUBLISH", "tidegate:drain", '"to all"');
  await Promise.all(clients.map(({ client }) => client.next((frame) => frame.data === "to all")));
});
