import { readFileSync } from "node:fs";
import { Redis } from "ioredis";
import { beforeAll, describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { ChunkedReader } from "./support/chunked.ts";
import { metric } from "./support/metrics.ts";
import { type GatewayNode, type RedisServer, type Stage, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

const TIMEOUT_MS = 120_000;
const CLOSED_SLOW = 'tidegate_connections_closed_total{reason="slow"}';

const stage = sharedStage();
let redis: RedisServer;

beforeAll(async () => {
  redis = await stage.redis();
});

/** One that checks what is in the chunks as well: whole events, with the numbers 0, 1, 2… */
class Reader extends ChunkedReader {
  /** Events so far. */
  count = 0;

  constructor(port: number, channel: string) {
    const headers = { Authorization: `Bearer ${token()}` };
    super(port, `/v1/channels/${channel}/events`, headers, (chunk) => this.#check(chunk));
  }

  /** Reads `bytes` at a time, with pauses in between. */
  stutter(bytes: number): void {
    let seen = 0;
    this.socket.on("data", (chunk) => {
      seen += chunk.length;
      if (seen < bytes) return;
      seen = 0;
      this.socket.pause();
      setTimeout(() => this.socket.resume(), 2);
    });
  }

  #check(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      const end = chunk.indexOf("\n\n", at);
      if (end < 0) return void this.faults.push(`a chunk ends in the middle of a block`);
      const start = chunk.toString("latin1", at, Math.min(end, at + 60));
      if (start.startsWith("event: ") && !start.startsWith("event: $welcome\n")) {
        const number = /^event: message\ndata: \{"n":(\d+),/.exec(start)?.[1];
        const expected = `event: message\ndata: ${eventOf(this.count)}`.length;
        if (Number(number) !== this.count || end - at !== expected)
          return void this.faults.push(`${start} instead of ${this.count}`);
        this.count++;
      }
      at = end + 2;
    }
  }
}

async function reader(stage: Stage, node: GatewayNode, channel: string): Promise<Reader> {
  const made = stage.add(new Reader(node.port, channel));
  await made.opened;
  return made;
}

function publisher(stage: Stage): Redis {
  const client = new Redis(redis.port);
  stage.add({ stop: () => client.disconnect() });
  return client;
}

const sizeOf = (n: number) => 5_000 + ((n * 1_777) % 7_000);
const eventOf = (n: number) => `{"n":${n},"pad":"${"x".repeat(sizeOf(n))}"}`;

function residentBytes({ pid }: GatewayNode): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

describe("slow readers of event streams", { timeout: TIMEOUT_MS }, () => {
  test("ten that stop and go get 20 MB each without a broken chunk or a hole", async ({ stage }) => {
    const node = await stage.node({
      redis,
      env: { TIDEGATE_MAX_QUEUED_BYTES: "0", TIDEGATE_MAX_NODE_QUEUED_BYTES: "0" },
    });
    const readers = await Promise.all(Array.from({ length: 10 }, () => reader(stage, node, "integrity")));
    for (const { socket } of readers) socket.pause();
    const healthy = await reader(stage, node, "integrity");
    const client = publisher(stage);
    let count = 0;
    for (let bytes = 0; bytes < 20e6; ) {
      const batch: Promise<number>[] = [];
      for (let i = 0; i < 50; i++) {
        bytes += sizeOf(count);
        batch.push(client.publish("tidegate:integrity", eventOf(count++)));
      }
      await Promise.all(batch);
      await until("the healthy one is there too", () => healthy.count === count || healthy.faults.length > 0);
    }
    await until("much waits for them", async () => (await metric(node, "tidegate_queued_bytes")) > 50e6);
    for (const [i, one] of readers.entries()) {
      one.stutter(200_000 + 50_000 * i);
      one.socket.resume();
    }
    await until(
      "they have all",
      () => readers.every((one) => one.count === count || one.faults.length > 0),
      80_000,
    );
    for (const one of readers) expect([one.faults, one.count]).toEqual([[], count]);
    await until("nothing waits any more", async () => (await metric(node, "tidegate_queued_bytes")) === 0);
  });

  test("what is queued arrives whole when the reader goes on, although nothing more is published", async ({
    stage,
  }) => {
    const node = await stage.node({ redis, env: { TIDEGATE_MAX_QUEUED_BYTES: "64MiB" } });
    const slow = await reader(stage, node, "tail");
    const client = publisher(stage);
    for (let round = 0, count = 0; round < 5; round++) {
      slow.socket.pause();
      for (let i = 0; i < 1_000; i++) void client.publish("tidegate:tail", eventOf(count++));
      await until("some of it waits", async () => (await metric(node, "tidegate_queued_bytes")) > 1e6);
      await client.ping();
      slow.socket.resume();
      await until("all of it is there", () => slow.count === count || slow.faults.length > 0);
      expect(slow.faults).toEqual([]);
    }
  });

  test("the end of a write that the network did not take follows by itself", async ({ stage }) => {
    const node = await stage.node({ redis });
    const slow = await reader(stage, node, "end");
    const client = publisher(stage);
    for (let round = 0, count = 0; round < 3; round++) {
      slow.socket.pause();
      // Until the first write that is taken in part: nothing is queued behind it.
      while ((await metric(node, "tidegate_queued_bytes")) === 0)
        await client.publish("tidegate:end", eventOf(count++));
      slow.socket.resume();
      await until("all of it is there", () => slow.count === count || slow.faults.length > 0, 5_000);
      expect(slow.faults).toEqual([]);
      await until("nothing waits", async () => (await metric(node, "tidegate_queued_bytes")) === 0);
    }
  });

  test("one that never reads is cut within five seconds of passing the limit, and costs little memory", async ({
    stage,
  }) => {
    const node = await stage.node({ redis });
    const healthy = await Promise.all(Array.from({ length: 10 }, () => reader(stage, node, "never")));
    const stalled = await reader(stage, node, "never");
    stalled.socket.pause();
    const client = publisher(stage);
    const before = residentBytes(node);
    let peak = before;
    let count = 0;
    let passedAt: number | undefined;
    let cutAt: number | undefined;
    while (cutAt === undefined && count < 6_000) {
      for (let i = 0; i < 10; i++) await client.publish("tidegate:never", eventOf(count++));
      await until("the others are there too", () => healthy.every((one) => one.count === count));
      if ((await metric(node, "tidegate_queued_bytes")) > 1e6) passedAt ??= performance.now();
      if ((await metric(node, CLOSED_SLOW)) === 1) cutAt = performance.now();
      peak = Math.max(peak, residentBytes(node));
    }
    expect(cutAt).toBeDefined();
    expect((cutAt ?? 0) - (passedAt ?? cutAt ?? 0)).toBeLessThan(5_000);
    expect((peak - before) / 1024 ** 2).toBeLessThan(64);
    expect(await metric(node, 'tidegate_connections{transport="sse"}')).toBe(10);
    stalled.socket.resume();
    await until("it hears of it", () => stalled.isClosed);
    expect(stalled.count).toBeLessThan(count);
    expect(stalled.faults).toEqual([]);
    expect(stalled.isComplete).toBe(false); // cut: it comes back to where it was
  });

  test("one that takes nothing is ended although nothing more is published", async ({ stage }) => {
    const node = await stage.node({ redis, env: { TIDEGATE_MAX_QUEUED_BYTES: "64MiB" } });
    const stalled = await reader(stage, node, "silent");
    stalled.socket.pause();
    const client = publisher(stage);
    await Promise.all(Array.from({ length: 1_500 }, (_, n) => client.publish("tidegate:silent", eventOf(n))));
    await until("much waits for it", async () => (await metric(node, "tidegate_queued_bytes")) > 1e6);
    const open = () => metric(node, 'tidegate_connections{transport="sse"}');
    await until("it is gone", async () => (await open()) === 0, 30_000);
    expect(await metric(node, "tidegate_queued_bytes")).toBe(0);
  });

  test("what waits for streams counts towards the node's limit, and the longest queues go first", async ({
    stage,
  }) => {
    const node = await stage.node({
      redis,
      env: { TIDEGATE_MAX_QUEUED_BYTES: "0", TIDEGATE_MAX_NODE_QUEUED_BYTES: "8MiB" },
    });
    const healthy = await reader(stage, node, "node-limit");
    const stalled = await Promise.all(Array.from({ length: 10 }, () => reader(stage, node, "node-limit")));
    for (const { socket } of stalled) socket.pause();
    const client = publisher(stage);
    let count = 0;
    let most = 0;
    while ((await metric(node, CLOSED_SLOW)) === 0 && count < 10_000) {
      await Promise.all(
        Array.from({ length: 20 }, () => client.publish("tidegate:node-limit", eventOf(count++))),
      );
      await until("the healthy one is there too", () => healthy.count === count);
      most = Math.max(most, await metric(node, "tidegate_queued_bytes"));
    }
    expect(await metric(node, CLOSED_SLOW)).toBeGreaterThan(0);
    expect(most).toBeGreaterThan(4 * 1024 ** 2);
    expect(most).toBeLessThan(12 * 1024 ** 2);
    expect([healthy.count, healthy.faults, healthy.isClosed]).toEqual([count, [], false]);
  });
});
