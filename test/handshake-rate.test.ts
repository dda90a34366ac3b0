import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HandshakeRate } from "../src/transport/handshake-rate.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the rate of handshakes", () => {
  it("is kept in any second, whenever it begins, however they come", () => {
    const rate = new HandshakeRate(20);
    const passed: number[] = [];
    for (let ms = 0; ms < 5_000; ms++) {
      // Quiet, a burst, a trickle, and more than may pass.
      const offered = ms < 900 ? 0 : ms === 900 ? 50 : ms < 2_500 ? Number(ms % 40 === 0) : 1;
      for (let i = 0; i < offered; i++) if (rate.take()) passed.push(ms);
      vi.advanceTimersByTime(1);
    }
    for (const from of passed)
      expect(passed.filter((at) => at >= from && at < from + 1_000).length).toBeLessThanOrEqual(20);
    expect(passed.filter((at) => at === 900)).toHaveLength(20);
    expect(passed.filter((at) => at >= 3_000 && at < 4_000).length).toBe(20);
  });

  it("is none when it is 0", () => {
    const rate = new HandshakeRate(0);
    expect(Array.from({ length: 10_000 }, () => rate.take())).not.toContain(false);
  });
});
