import { beforeAll, describe, expect } from "vitest";
import { freePort, until } from "../deploy/local/process.ts";
import type { Client } from "./support/client.ts";
import {
  type GatewayNode,
  type Haproxy,
  type RedisServer,
  type Stage,
  sharedStage,
  test,
} from "./support/servers.ts";
import { token } from "./support/token.ts";

// HAProxy is reloaded, or dies, under open WebSockets.

const shared = sharedStage();
let redis: RedisServer;
let nodes: GatewayNode[];

beforeAll(async () => {
  redis = await shared.redis();
  nodes = await Promise.all(["node1", "node2", "node3"].map((id) => shared.node({ id, redis })));
});

interface Ports {
  httpPort: number;
  httpsPort: number;
  metricsPort: number;
}

async function ports(): Promise<Ports> {
  return { httpPort: await freePort(), httpsPort: await freePort(), metricsPort: await freePort() };
}

async function started(stage: Stage, options: Ports & { env?: Record<string, string>; args?: string[] }) {
  const haproxy = await stage.haproxy({ nodes, ...options });
  await haproxy.waitForNodes(3);
  return haproxy;
}

async function follow(stage: Stage, haproxy: Haproxy, channel: string, count: number): Promise<Client[]> {
  const clients = await stage.clients(count, haproxy.webSocketUrl, { token: token(), channels: [channel] });
  await Promise.all(clients.map((client) => client.next("subscribed")));
  return clients;
}

/** Publishes 0, 1, 2… every 20 ms until it is stopped; the promise is of how many there were. */
function publish(channel: string): { stop(): Promise<number> } {
  let count = 0;
  let isOver = false;
  const loop = (async () => {
    while (!isOver) {
      await redis.cli("PUBLISH", `tidegate:${channel}`, String(count++));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return count;
  })();
  return {
    stop: () => {
      isOver = true;
      return loop;
    },
  };
}

const dataOf = (client: Client, channel: string) => client.events(channel).map((event) => event.data);
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

describe.concurrent("HAProxy", () => {
  test("is reloaded: old WebSockets stay with the old process until its hard stop, new ones go to the new one, no event is lost", async ({
    stage,
  }) => {
    const same = { ...(await ports()), env: { HAPROXY_HARD_STOP_AFTER: "5s" } };
    const old = await started(stage, same);
    const before = await follow(stage, old, "reload", 30);
    const publishing = publish("reload");
    const start = performance.now();
    const reloaded = await started(stage, { ...same, args: ["-sf", String(old.pid)] });
    await until("the old one listens no more", () => old.output.some((line) => /stopped/i.test(line)));
    // Nobody is refused while one takes over from the other.
    const after = await follow(stage, reloaded, "reload", 30);
    const current = async (haproxy: Haproxy) =>
      (await haproxy.servers()).reduce((sum, one) => sum + one.current, 0);
    expect(await current(reloaded)).toBe(30);
    expect(before.every((client) => client.isOpen)).toBe(true);
    for (const client of before)
      expect(await client.request({ type: "ping" })).toMatchObject({ type: "pong" });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const count = await publishing.stop();
    const last = (client: Client) => dataOf(client, "reload").at(-1) === count - 1;
    await until("all have the last one", () => [...before, ...after].every(last));
    for (const client of before) expect(dataOf(client, "reload")).toEqual(numbers(count));
    for (const client of after) {
      const data = dataOf(client, "reload");
      expect(data).toEqual(numbers(count).slice(data[0] as number));
    }
    await old.process.exited;
    expect(performance.now() - start).toBeGreaterThan(4_800);
    expect(performance.now() - start).toBeLessThan(9_000);
    await Promise.all(before.map((client) => client.closed));
    expect(after.every((client) => client.isOpen)).toBe(true);
  });

  test("is reloaded over and over while clients come: none is refused", async ({ stage }) => {
    const same = { ...(await ports()), env: { HAPROXY_HARD_STOP_AFTER: "5s" } };
    let current = await started(stage, same);
    let isOver = false;
    let connected = 0;
    const coming = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        (await stage.client(current.webSocketUrl, { token: token({ sub: "reload" }) })).stop();
        connected++;
      }
    });
    for (let i = 0; i < 3; i++) {
      current = await started(stage, { ...same, args: ["-sf", String(current.pid)] });
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    isOver = true;
    await Promise.all(coming);
    expect(connected).toBeGreaterThan(100);
  });

  test("is killed: clients see 1006 at once, and come back as soon as it runs again", async ({ stage }) => {
    const same = await ports();
    const first = await started(stage, same);
    const clients = await follow(stage, first, "killed", 60);
    const killed = performance.now();
    first.kill("SIGKILL");
    const codes = await Promise.all(clients.map(async (client) => (await client.closed).code));
    expect(new Set(codes)).toEqual(new Set([1006]));
    expect(performance.now() - killed).toBeLessThan(1_000);
    await first.process.exited;
    const again = await started(stage, same);
    const back = await follow(stage, again, "killed", 60);
    await redis.cli("PUBLISH", "tidegate:killed", '"to all"');
    await Promise.all(back.map((client) => client.next((frame) => frame.data === "to all")));
    expect(performance.now() - killed).toBeLessThan(10_000);
  });
});
