import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Beating, Heartbeat } from "../src/transport/heartbeat.ts";

/** A connection whose client answers, or does not. */
class FakeBeating implements Beating {
  /** Seconds since the start, of each ping. */
  readonly pings: number[] = [];
  silentAt: number | undefined;
  awaitsPong = false;
  answers = true;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  ping(): void {
    this.pings.push(this.#now());
    this.awaitsPong = !this.answers;
  }

  onSilence(): void {
    this.silentAt ??= this.#now();
  }
}

let heartbeat: Heartbeat<FakeBeating>;
let start: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"], now: 1_790_000_000_000 });
  start = Date.now();
  heartbeat = new Heartbeat(30, 10);
  heartbeat.start();
});
afterEach(() => {
  heartbeat.stop();
  vi.useRealTimers();
});

function now(): number {
  return (Date.now() - start) / 1000;
}

function add(): FakeBeating & { slot: number } {
  const beating = Object.assign(new FakeBeating(now), { slot: -1 });
  beating.slot = heartbeat.add(beating);
  return beating;
}

function pass(seconds: number): void {
  vi.advanceTimersByTime(seconds * 1000);
}

describe("a connection", () => {
  it("is pinged every 30 seconds, the first time within them", () => {
    for (let i = 0; i < 40; i++) {
      pass(i % 3);
      const beating = add();
      const added = now();
      pass(95);
      expect(beating.pings.length).toBeGreaterThanOrEqual(3);
      expect((beating.pings[0] ?? Number.NaN) - added).toBeLessThanOrEqual(30);
      const gaps = beating.pings.slice(1).map((at, n) => at - (beating.pings[n] ?? 0));
      expect(new Set(gaps)).toEqual(new Set([30]));
      heartbeat.remove(beating, beating.slot);
    }
  });

  it("that answers is never given up", () => {
    const beating = add();
    pass(600);
    expect(beating.pings).toHaveLength(20);
    expect(beating.silentAt).toBeUndefined();
  });

  it("that does not answer is given up 10 seconds after its ping", () => {
    const beating = add();
    beating.answers = false;
    pass(60);
    expect(beating.silentAt).toBe((beating.pings[0] ?? Number.NaN) + 10);
  });

  it("that answers 9 seconds late is not given up", () => {
    const beating = add();
    beating.answers = false;
    while (beating.pings.length === 0) pass(1);
    pass(9);
    beating.awaitsPong = false;
    pass(15);
    expect(beating.silentAt).toBeUndefined();
  });

  it("that is removed is left alone", () => {
    const beating = add();
    beating.answers = false;
    heartbeat.remove(beating, beating.slot);
    pass(120);
    expect(beating.pings).toEqual([]);
    expect(beating.silentAt).toBeUndefined();
  });

  it("may be removed in the middle of being given up, like any other", () => {
    const all = Array.from({ length: 90 }, add);
    for (const beating of all) {
      beating.answers = false;
      beating.onSilence = () => {
        beating.silentAt = now();
        heartbeat.remove(beating, beating.slot);
      };
    }
    pass(45);
    expect(all.every(({ silentAt }) => silentAt !== undefined)).toBe(true);
    expect(heartbeat.size).toBe(0);
  });
});

describe("many connections", () => {
  it("that come in one moment are pinged evenly over the 30 seconds", () => {
    const all = Array.from({ length: 3_000 }, add);
    pass(30);
    const perSecond = new Map<number, number>();
    for (const [at = Number.NaN] of all.map(({ pings }) => pings))
      perSecond.set(at, (perSecond.get(at) ?? 0) + 1);
    expect(perSecond.size).toBe(30);
    expect(new Set(perSecond.values())).toEqual(new Set([100]));
  });

  it("are counted, and each is met once when one goes over them", () => {
    const all = Array.from({ length: 70 }, add);
    const [first] = all;
    if (first) heartbeat.remove(first, first.slot);
    if (first) heartbeat.remove(first, first.slot); // twice is once
    expect(heartbeat.size).toBe(69);
    expect(new Set(heartbeat)).toEqual(new Set(all.slice(1)));
    expect([...heartbeat]).toHaveLength(69);
  });
});

describe("the clock", () => {
  it("that jumps gives up nobody whose answer was only not read yet", () => {
    const beating = add();
    beating.answers = false;
    while (beating.pings.length === 0) pass(1);
    // The process is stopped for an hour: afterwards the timer fires once.
    vi.setSystemTime(Date.now() + 3_600_000);
    pass(1);
    expect(beating.silentAt).toBeUndefined();
    beating.awaitsPong = false;
    pass(15);
    expect(beating.silentAt).toBeUndefined();
  });

  it("stands still after stop", () => {
    const beating = add();
    heartbeat.stop();
    pass(120);
    expect(beating.pings).toEqual([]);
  });
});
