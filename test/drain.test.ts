import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { CloseReason } from "../src/protocol/codes.ts";
import { Drain, type Leaving } from "../src/transport/drain.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A node's connections; each leaves when it is closed. */
class Connections implements Iterable<Leaving> {
  readonly #open = new Set<Leaving>();
  /** When each was closed, in milliseconds. */
  readonly closed: number[] = [];
  readonly reasons = new Set<CloseReason>();
  /** When each was told, and what. */
  readonly told: { at: number; graceMs: number; reconnectInMs: number }[] = [];
  /** Set: clients move to another node, so long after they were asked to. */
  moveInMs: number | undefined;

  add(): Leaving {
    const connection: Leaving = {
      handOver: (graceMs, reconnectInMs) => {
        this.told.push({ at: performance.now(), graceMs, reconnectInMs });
        if (this.moveInMs !== undefined)
          setTimeout(() => this.#open.delete(connection), reconnectInMs + this.moveInMs);
      },
      close: (reason) => {
        if (!this.#open.delete(connection)) return;
        this.closed.push(performance.now());
        this.reasons.add(reason);
      },
    };
    this.#open.add(connection);
    return connection;
  }

  get size(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): Iterator<Leaving> {
    return this.#open.values();
  }
}

/** No HTTP request is under way. */
const idle = { open: 0 };

function connections(count: number): Connections {
  const all = new Connections();
  for (let i = 0; i < count; i++) all.add();
  return all;
}

/** Runs it to its end; what it was told, and when. */
async function run(drain: Drain): Promise<{ doorAt: number; endAt: number }> {
  let doorAt = Number.NaN;
  let endAt = Number.NaN;
  const done = drain
    .run(() => {
      doorAt = performance.now();
    })
    .then(() => {
      endAt = performance.now();
    });
  await vi.runAllTimersAsync();
  await done;
  return { doorAt, endAt };
}

describe("a drain", () => {
  it("says at once that the node is not ready, and takes newcomers for three seconds more", async () => {
    const drain = new Drain(connections(10), idle, 30_000);
    expect([drain.begun, drain.closing]).toEqual([false, false]);
    const done = drain.run(() => {});
    expect([drain.begun, drain.closing]).toEqual([true, false]);
    await vi.advanceTimersByTimeAsync(2_999);
    expect(drain.closing).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(drain.closing).toBe(true);
    await vi.runAllTimersAsync();
    await done;
  });

  it("closes nobody before its door is closed, and everybody by its end", async () => {
    const all = connections(1_000);
    const { doorAt, endAt } = await run(new Drain(all, idle, 30_000));
    expect(doorAt).toBe(3_000);
    expect(Math.min(...all.closed)).toBeGreaterThanOrEqual(3_000);
    expect(all.size).toBe(0);
    expect(all.closed).toHaveLength(1_000);
    expect(endAt).toBeLessThanOrEqual(30_100);
    expect(all.reasons).toEqual(new Set(["shutting_down"]));
  });

  it("closes at a flat rate: no second sees much more than its share", async () => {
    const all = connections(10_000);
    await run(new Drain(all, idle, 30_000));
    const perSecond = new Map<number, number>();
    for (const at of all.closed)
      perSecond.set(Math.floor(at / 1000), (perSecond.get(Math.floor(at / 1000)) ?? 0) + 1);
    const share = 10_000 / 17; // three seconds for the balancer, and ten until the first grace is over
    expect(Math.max(...perSecond.values())).toBeLessThan(share * 1.15);
    expect(perSecond.size).toBeGreaterThanOrEqual(16);
  });

  it("asks each to move ten seconds before it closes it, at a flat rate, spread over half of that", async () => {
    const all = connections(1_000);
    await run(new Drain(all, idle, 30_000));
    expect(all.told).toHaveLength(1_000);
    expect(all.told[0]?.at).toBeGreaterThanOrEqual(3_000);
    all.told.forEach(({ at, graceMs }, i) => {
      expect(graceMs).toBe(10_000);
      expect((all.closed[i] as number) - at).toBeGreaterThanOrEqual(9_950);
      expect((all.closed[i] as number) - at).toBeLessThanOrEqual(10_100);
    });
    const delays = all.told.map(({ reconnectInMs }) => reconnectInMs);
    expect(Math.max(...delays)).toBeLessThanOrEqual(5_000);
    expect(Math.max(...delays)).toBeGreaterThan(4_000);
    expect(Math.min(...delays)).toBeLessThan(1_000);
  });

  it("closes nobody, and is over early, when all move", async () => {
    const all = connections(100);
    all.moveInMs = 100;
    const { endAt } = await run(new Drain(all, idle, 30_000));
    expect(all.closed).toEqual([]);
    expect(endAt).toBeLessThanOrEqual(3_000 + 17_000 + 5_000 + 200);
  });

  it("takes along who comes while it waits", async () => {
    const all = connections(5);
    const drain = new Drain(all, idle, 30_000);
    const done = drain.run(() => {});
    await vi.advanceTimersByTimeAsync(2_000);
    all.add();
    await vi.runAllTimersAsync();
    await done;
    expect(all.closed).toHaveLength(6);
  });

  it("waits for nothing where nobody is connected", async () => {
    const { doorAt, endAt } = await run(new Drain(connections(0), idle, 30_000));
    expect([doorAt, endAt]).toEqual([0, 0]);
  });

  it("of no time closes everybody at once", async () => {
    const all = connections(100);
    const { endAt } = await run(new Drain(all, idle, 0));
    expect(all.closed).toHaveLength(100);
    expect(endAt).toBeLessThanOrEqual(50);
  });

  it("of a short time keeps a third of it for the balancer to notice", async () => {
    const all = connections(10);
    const { doorAt, endAt } = await run(new Drain(all, idle, 600));
    expect(doorAt).toBe(200);
    expect(endAt).toBeLessThanOrEqual(700);
    expect(all.size).toBe(0);
  });

  it("ends in its time though a connection does not go away", async () => {
    const stuck: Leaving = { handOver: () => {}, close: () => {} };
    const { endAt } = await run(new Drain([stuck], idle, 5_000));
    expect(endAt).toBeLessThanOrEqual(5_100);
  });

  it("waits for HTTP requests under way, behind its connections", async () => {
    const requests = { open: 1 };
    setTimeout(() => {
      requests.open = 0;
    }, 500);
    expect((await run(new Drain(connections(0), requests, 0))).endAt).toBeLessThanOrEqual(600);
    expect(requests.open).toBe(0);
  });

  it("waits no longer than two seconds for a request that does not end", async () => {
    const { endAt } = await run(new Drain(connections(0), { open: 1 }, 0));
    expect(endAt).toBeGreaterThanOrEqual(1_500);
    expect(endAt).toBeLessThanOrEqual(2_100);
  });
});
