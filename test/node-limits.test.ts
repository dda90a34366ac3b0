import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { Redis } from "ioredis";
import { beforeAll, describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { metric } from "./support/metrics.ts";
import { RawWebSocket } from "./support/raw.ts";
import { type GatewayNode, type RedisServer, type Stage, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

// What all clients of a node together may take of it.

const MIB = 1024 ** 2;
const stage = sharedStage();
let redis: RedisServer;

beforeAll(async () => {
  redis = await stage.redis();
});

/** A client that reads nothing after its handshake; the kernel between takes a few hundred kilobytes. */
async function stalled(stage: Stage, node: GatewayNode, channel: string): Promise<RawWebSocket> {
  const raw = stage.add(await RawWebSocket.open(node.port, `/ws?channel=${channel}&token=${token()}`));
  await until("it is subscribed", () => raw.frames.length >= 2);
  raw.socket.pause();
  return raw;
}

function residentMiB({ pid }: GatewayNode): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

describe("what waits for all clients together", () => {
  test("stays within its limit: the longest queues are cut, and who reads loses nothing", async ({
    stage,
  }) => {
    const limit = 24 * MIB;
    // Each alone may have more than all together.
    const env = {
      TIDEGATE_MAX_NODE_QUEUED_BYTES: String(limit),
      TIDEGATE_MAX_QUEUED_BYTES: "64MiB",
      TIDEGATE_COMMAND_RATE: "0",
    };
    const node = await stage.node({ redis, env });
    const readers = await Promise.all(Array.from({ length: 60 }, () => stalled(stage, node, "flood")));
    const healthy = await stage.client(node.webSocketUrl, { token: token(), channels: ["flood"] });
    await healthy.next("subscribed");
    const publisher = new Redis(redis.port);
    stage.add({ stop: () => publisher.disconnect() });
    const before = residentMiB(node);
    let most = 0;
    let resident = before;
    const pad = "x".repeat(60_000);
    for (let n = 0; n < 240; n++) {
      await publisher.publish("tidegate:flood", JSON.stringify({ n, pad }));
      await until("the reader has it", () => healthy.events("flood").length > n);
      if (n % 10 === 0) most = Math.max(most, await metric(node, "tidegate_queued_bytes"));
      resident = Math.max(resident, residentMiB(node));
    }
    // 60 clients and 14 MB each: 860 MB would wait.
    expect(most).toBeLessThanOrEqual(limit + 61 * 60_100); // and the event that is going out
    expect(most).toBeGreaterThan(limit / 4);
    expect(resident - before).toBeLessThan((limit * 3) / MIB + 64);
    const data = healthy.events("flood").map((event) => (event.data as { n: number }).n);
    expect(data).toEqual(Array.from({ length: 240 }, (_, n) => n));
    const cut = await metric(node, 'tidegate_connections_closed_total{reason="slow"}');
    expect(cut).toBeGreaterThan(0);
    expect(await metric(node, "tidegate_subscriptions")).toBe(readers.length + 1 - cut);
  }, 60_000);
});

describe("what waits for one client", () => {
  test("has no limit when it is 0: who comes back to read loses nothing", async ({ stage }) => {
    const node = await stage.node({ redis, env: { TIDEGATE_MAX_QUEUED_BYTES: "0" } });
    const late = await stage.client(node.webSocketUrl, { token: token(), channels: ["much"] });
    await late.next("subscribed");
    late.socket.pause();
    const publisher = new Redis(redis.port);
    stage.add({ stop: () => publisher.disconnect() });
    const pad = "x".repeat(60_000);
    for (let n = 0; n < 400; n++) await publisher.publish("tidegate:much", JSON.stringify({ n, pad }));
    await until("much waits", async () => (await metric(node, "tidegate_queued_bytes")) > 8 * MIB);
    late.socket.resume();
    await until("all is read", () => late.events("much").length === 400);
    expect(late.isOpen).toBe(true);
  });
});

describe("a node that is out of descriptors", () => {
  test("serves whom it has, takes nobody new, and takes them again when there is room", async ({ stage }) => {
    const node = await stage.node({ redis });
    const client = await stage.client(node.webSocketUrl, { token: token(), channels: ["chat"] });
    await client.next("subscribed");
    // Node alone holds some thirty.
    execFileSync("prlimit", ["--pid", String(node.pid), "--nofile=80:80"]);
    const sockets = Array.from({ length: 200 }, () => connect({ port: node.port, host: "127.0.0.1" }));
    for (const socket of sockets) socket.on("error", () => {});
    stage.add({ stop: () => sockets.forEach((socket) => void socket.destroy()) });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await redis.cli("PUBLISH", "tidegate:chat", '"still here"');
    await client.next((frame) => frame.data === "still here");
    expect(await client.request({ type: "ping" })).toMatchObject({ type: "pong" });
    for (const socket of sockets) socket.destroy();
    await until("it takes new ones", async () => {
      const late = await stage.client(node.webSocketUrl, { token: token() });
      return late.isOpen;
    });
    expect(node.process.isRunning).toBe(true);
  });
});
