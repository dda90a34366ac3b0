import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Deadlines, type Mortal } from "../src/session/deadlines.ts";

let deadlines: Deadlines;
let start: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"], now: 1_790_000_000_000 });
  start = Date.now();
  deadlines = new Deadlines();
  deadlines.start();
});
afterEach(() => {
  deadlines.stop();
  vi.useRealTimers();
});

/** Notes the milliseconds since the start at which its time came. */
function mortal(): Mortal & { ends: number[] } {
  const ends: number[] = [];
  return { ends, onDeadline: () => void ends.push(Date.now() - start) };
}

describe("a deadline", () => {
  it.each([0, 1, 999, 1_000, 1_001, 10_000, 59_500, 3_600_000])(
    "in %i ms comes once, never before its time and less than two seconds after it",
    (ms) => {
      const one = mortal();
      deadlines.set(one, start + ms);
      vi.advanceTimersByTime(ms + 60_000);
      expect(one.ends).toHaveLength(1);
      expect(one.ends[0]).toBeGreaterThanOrEqual(ms);
      expect(one.ends[0]).toBeLessThanOrEqual(ms + 2_000);
    },
  );

  it("that has passed already comes within two seconds", () => {
    const one = mortal();
    deadlines.set(one, start - 3_600_000);
    expect(one.ends).toEqual([]);
    vi.advanceTimersByTime(2_000);
    expect(one.ends).toHaveLength(1);
  });

  it("that is cancelled never comes, and the others of its second do", () => {
    const [one, other] = [mortal(), mortal()];
    const due = deadlines.set(one, start + 5_000);
    deadlines.set(other, start + 5_000);
    deadlines.cancel(one, due);
    deadlines.cancel(one, due);
    vi.advanceTimersByTime(60_000);
    expect(one.ends).toEqual([]);
    expect(other.ends).toHaveLength(1);
  });

  it("may be moved, sooner or later", () => {
    for (const ms of [5_000, 500_000]) {
      const one = mortal();
      const from = Date.now() - start;
      deadlines.cancel(one, deadlines.set(one, Date.now() + 60_000));
      deadlines.set(one, Date.now() + ms);
      vi.advanceTimersByTime(ms - 1_000);
      expect(one.ends).toEqual([]);
      vi.advanceTimersByTime(3_000);
      expect(one.ends).toHaveLength(1);
      expect((one.ends[0] ?? 0) - from).toBeGreaterThanOrEqual(ms);
    }
  });

  it("may be set anew while another one comes", () => {
    const second = mortal();
    const first: Mortal = { onDeadline: () => void deadlines.set(second, Date.now()) };
    deadlines.set(first, start + 1_000);
    vi.advanceTimersByTime(10_000);
    expect(second.ends).toHaveLength(1);
  });

  it("may be cancelled by another one that comes in the same second", () => {
    const second = mortal();
    let due = Number.NaN;
    const first: Mortal = { onDeadline: () => deadlines.cancel(second, due) };
    deadlines.set(first, start + 1_000);
    due = deadlines.set(second, start + 1_000);
    vi.advanceTimersByTime(10_000);
    expect(second.ends).toEqual([]);
  });

  it("without an end never comes", () => {
    const one = mortal();
    deadlines.set(one, Number.POSITIVE_INFINITY);
    vi.setSystemTime(start + 10 * 365 * 24 * 3_600_000);
    vi.advanceTimersByTime(2_000);
    expect(one.ends).toEqual([]);
  });
});

describe("many deadlines", () => {
  it("each come in their own time", () => {
    const all = Array.from({ length: 1_000 }, (_, i) => ({ one: mortal(), at: i * 37 }));
    for (const { one, at } of all) deadlines.set(one, start + at);
    vi.advanceTimersByTime(60_000);
    for (const { one, at } of all) {
      expect(one.ends).toHaveLength(1);
      expect((one.ends[0] ?? Number.NaN) - at).toBeGreaterThanOrEqual(0);
      expect((one.ends[0] ?? Number.NaN) - at).toBeLessThanOrEqual(2_000);
    }
  });
});

describe("the clock", () => {
  it("that jumps ahead by years brings what is due, at once and in no time", () => {
    const [due, later] = [mortal(), mortal()];
    const years = 10 * 365 * 24 * 3_600_000;
    deadlines.set(due, start + 3_600_000);
    deadlines.set(later, start + years + 3_600_000);
    vi.setSystemTime(start + years);
    const before = process.hrtime.bigint();
    vi.advanceTimersByTime(1_000);
    expect(Number(process.hrtime.bigint() - before) / 1e6).toBeLessThan(200);
    expect(due.ends).toHaveLength(1);
    expect(later.ends).toEqual([]);
    vi.advanceTimersByTime(3_602_000);
    expect(later.ends).toHaveLength(1);
  });

  it("that goes back by a minute loses no deadline", () => {
    const one = mortal();
    vi.advanceTimersByTime(120_000);
    deadlines.set(one, Date.now() + 10_000);
    vi.setSystemTime(Date.now() - 60_000);
    vi.advanceTimersByTime(75_000);
    expect(one.ends).toHaveLength(1);
  });

  it("that was an hour ahead for a moment makes no later deadline wait for it", () => {
    vi.setSystemTime(start + 3_600_000);
    vi.advanceTimersByTime(1_000);
    vi.setSystemTime(start);
    vi.advanceTimersByTime(1_000);
    const one = mortal();
    deadlines.set(one, Date.now() + 10_000);
    vi.advanceTimersByTime(13_000);
    expect(one.ends).toHaveLength(1);
  });

  it("stands still after stop", () => {
    const one = mortal();
    deadlines.set(one, start + 1_000);
    deadlines.stop();
    vi.advanceTimersByTime(60_000);
    expect(one.ends).toEqual([]);
  });
});
