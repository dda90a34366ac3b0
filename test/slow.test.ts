import { readFileSync } from "node:fs";
import { Redis } from "ioredis";
import { beforeAll, expect } from "vitest";
import { WebSocket } from "ws";
import { until } from "../deploy/local/process.ts";
import { metric } from "./support/metrics.ts";
import { type GatewayNode, type RedisServer, type Stage, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

const HEALTHY = 20;
const SIZES = [200, 900, 4_000, 60_000, 15_000, 200, 30_000];
/** Published in all: more than the buffers of a stalled connection and the node's limit hold together. */
const TOTAL = 20e6;
/** Published before the readers have to be where the publisher is. */
const AHEAD = 400_000;
const CLOSED = 'tidegate_connections_closed_total{reason="slow"}';

const stage = sharedStage();
let redis: RedisServer;
let node: GatewayNode;

beforeAll(async () => {
  redis = await stage.redis();
  node = await stage.node({ redis });
});

/** Checks the numbers of events as they come and keeps none of them. */
class Reader {
  readonly socket: WebSocket;
  readonly opened: Promise<unknown>;
  readonly closed: Promise<number>;
  /** Events so far: 0, 1, 2… without a hole. */
  count = 0;
  faults: string[] = [];

  constructor(channel: string) {
    const headers = { authorization: `Bearer ${token()}` };
    this.socket = new WebSocket(`${node.webSocketUrl}?channel=${channel}`, {
      headers,
      perMessageDeflate: false,
    });
    this.opened = new Promise((resolve, reject) => {
      this.socket.on("error", reject);
      this.socket.on("message", (data: Buffer) => {
        const start = data.toString("latin1", 0, 200);
        if (start.includes('"subscribed"')) resolve(undefined);
        const number = /"data":\{"n":(\d+)/.exec(start)?.[1];
        if (number === undefined) return;
        if (Number(number) === this.count) this.count++;
        else if (this.faults.length < 3) this.faults.push(`${number} instead of ${this.count}`);
      });
    });
    this.closed = new Promise((resolve) => this.socket.on("close", resolve));
  }

  get isClosed(): boolean {
    return this.socket.readyState === WebSocket.CLOSED;
  }

  stop(): void {
    this.socket.terminate();
  }
}

async function readers(stage: Stage, channel: string, count: number): Promise<Reader[]> {
  const made = Array.from({ length: count }, () => stage.add(new Reader(channel)));
  await Promise.all(made.map((reader) => reader.opened));
  return made;
}

/** Publishes `TOTAL` bytes, at the pace of the readers. @returns how many events */
async function publishAll(stage: Stage, channel: string, healthy: readonly Reader[]): Promise<number> {
  const publisher = new Redis(redis.port);
  stage.add({ stop: () => publisher.disconnect() });
  let number = 0;
  for (let published = 0; published < TOTAL; ) {
    const batch: Promise<number>[] = [];
    for (let bytes = 0; bytes < AHEAD; ) {
      const size = SIZES[number % SIZES.length] as number;
      batch.push(
        publisher.publish(`tidegate:${channel}`, `{"n":${number++},"pad":"${"x".repeat(size - 20)}"}`),
      );
      bytes += size;
      published += size;
    }
    await Promise.all(batch);
    await until("the readers are there too", () => healthy.every((reader) => reader.count >= number), 5_000);
  }
  return number;
}

/** Bytes of memory of the node, and the most of them from now on. */
function watchMemory(stage: Stage): { start: number; peak: number } {
  const rss = () =>
    Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${node.pid}/status`, "utf8"))?.[1]) * 1024;
  const watch = { start: rss(), peak: rss() };
  const timer = setInterval(() => {
    watch.peak = Math.max(watch.peak, rss());
  }, 20);
  stage.add({ stop: () => clearInterval(timer) });
  return watch;
}

const subscriptions = () => metric(node, "tidegate_subscriptions");

test("a stalled reader harms nobody else, costs little memory, and is closed with 4001 behind what was queued", async ({
  stage,
}) => {
  const healthy = await readers(stage, "resumes", HEALTHY);
  const [stalled] = (await readers(stage, "resumes", 1)) as [Reader];
  const closedBefore = await metric(node, CLOSED);
  const memory = watchMemory(stage);
  stalled.socket.pause();
  const publishing = publishAll(stage, "resumes", healthy);
  await until("the node gives it up", async () => (await subscriptions()) === HEALTHY);
  stalled.socket.resume();
  expect(await stalled.closed).toBe(4001);
  const count = await publishing;

  expect(stalled.faults).toEqual([]);
  expect(stalled.count).toBeGreaterThan(10);
  expect(stalled.count).toBeLessThan(count);
  for (const reader of healthy) expect([reader.count, reader.faults]).toEqual([count, []]);
  expect((await metric(node, CLOSED)) - closedBefore).toBe(1);
  expect((memory.peak - memory.start) / 1024 ** 2).toBeLessThan(64);
});

test("readers that stop and go in a flood get everything, or no event behind the hole and a close", async ({
  stage,
}) => {
  const [healthy] = (await readers(stage, "flood", 1)) as [Reader];
  const fickle = await readers(stage, "flood", 10);
  const publisher = new Redis(redis.port);
  stage.add({ stop: () => publisher.disconnect() });
  const timers = fickle.map((reader, i) => {
    reader.socket.pause();
    // Read a little every now and then, each at a pace of its own: room comes and goes at any moment.
    return setInterval(() => {
      reader.socket.resume();
      setTimeout(() => reader.socket.pause(), 1 + i);
    }, 300);
  });
  let number = 0;
  for (let burst = 0; burst < 100; burst++) {
    // Far more in one turn of the event loop than the 32 that uWebSockets.js keeps for a socket.
    const batch = Array.from({ length: 250 }, () =>
      publisher.publish("tidegate:flood", `{"n":${number++},"pad":"${"x".repeat(2_000)}"}`),
    );
    await Promise.all(batch);
    await until("the healthy one is there too", () => healthy.count === number);
  }
  for (const timer of timers) clearInterval(timer);
  let cut = 0;
  for (const reader of fickle) {
    reader.socket.on("pause", () => reader.socket.resume()); // those timers still under way
    reader.socket.resume();
    await until("it has all, or is closed", () => reader.count === number || reader.isClosed);
    expect(reader.faults).toEqual([]);
    if (reader.isClosed) cut++;
  }
  expect(cut).toBeGreaterThan(0);
  expect([healthy.count, healthy.faults]).toEqual([number, []]);
});

test("a reader that never reads again is cut within five seconds of passing the limit", async ({ stage }) => {
  const healthy = await readers(stage, "never", HEALTHY);
  const [stalled] = (await readers(stage, "never", 1)) as [Reader];
  const closedBefore = await metric(node, CLOSED);
  const memory = watchMemory(stage);
  stalled.socket.pause();
  const publishing = publishAll(stage, "never", healthy);
  await until("the node gives it up", async () => (await subscriptions()) === HEALTHY);
  const start = performance.now();
  await until("it is cut", async () => (await metric(node, CLOSED)) - closedBefore === 1, 10_000);
  expect(performance.now() - start).toBeLessThan(5_000);
  expect(performance.now() - start).toBeGreaterThan(3_000);
  expect(await metric(node, 'tidegate_connections{transport="websocket"}')).toBe(HEALTHY);

  const count = await publishing;
  for (const reader of healthy) expect([reader.count, reader.faults]).toEqual([count, []]);
  expect((memory.peak - memory.start) / 1024 ** 2).toBeLessThan(64);
  // It reads after all: what was underway, without a hole, and the end without a close frame.
  stalled.socket.resume();
  expect(await stalled.closed).toBe(1006);
  expect(stalled.faults).toEqual([]);
});

test("a reader that is slow, but within the limit, loses nothing", async ({ stage }) => {
  const [slow] = (await readers(stage, "slow", 1)) as [Reader];
  const publisher = new Redis(redis.port);
  stage.add({ stop: () => publisher.disconnect() });
  for (let n = 0; n < 300; n++) {
    if (n % 10 === 0) slow.socket.pause();
    await publisher.publish("tidegate:slow", `{"n":${n},"pad":"${"x".repeat(10_000)}"}`);
    if (n % 10 === 9) {
      slow.socket.resume();
      await until("it catches up", () => slow.count === n + 1);
    }
  }
  expect([slow.count, slow.faults]).toEqual([300, []]);
  expect(slow.socket.readyState).toBe(WebSocket.OPEN);
});
