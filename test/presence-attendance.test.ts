import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Attendance } from "../src/protocol/presence.ts";
import { Attendances } from "../src/session/attendance.ts";

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "setImmediate", "performance"],
  });
});

afterEach(() => {
  vi.useRealTimers();
});

/** What the other nodes would know by what this one told. @param answersIn ms */
function fleet(answersIn = 0) {
  const reports: string[][] = [];
  const present = new Set<string>();
  const state = { away: false, reports, present };
  const attendances = new Attendances({
    async attend(told: readonly Attendance[]) {
      if (answersIn > 0) await new Promise((resolve) => setTimeout(resolve, answersIn));
      if (state.away) throw new Error("away");
      reports.push(
        told.map(({ channel, user, info, here }) => `${here ? "+" : "-"}${channel}/${user}${info ?? ""}`),
      );
      for (const { channel, user, here } of told)
        if (here) present.add(`${channel}/${user}`);
        else present.delete(`${channel}/${user}`);
    },
  });
  return { attendances, state };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe("who is in a channel on this node", () => {
  it("is told once for all his sessions, and in one report with all that one turn brought", async () => {
    const { attendances, state } = fleet();
    for (let i = 0; i < 3; i++) attendances.enter("room", "ann", '{"name":"Ann"}');
    attendances.enter("room", "bob", undefined);
    attendances.enter("lobby", "ann", undefined);
    await pass(1);
    expect(state.reports).toEqual([['+room/ann{"name":"Ann"}', "+room/bob", "+lobby/ann"]]);
    expect(attendances).toMatchObject({ size: 3, joins: 3, leaves: 0 });
  });

  it("leaves with his last session, when he was waited for", async () => {
    const { attendances, state } = fleet();
    for (let i = 0; i < 3; i++) attendances.enter("room", "ann", undefined);
    await pass(1);
    for (let i = 0; i < 3; i++) attendances.leave("room", "ann", 2_000);
    await pass(1_900);
    expect(state.reports).toHaveLength(1);
    await pass(400);
    expect(state.reports.slice(1)).toEqual([["-room/ann"]]);
    expect(attendances).toMatchObject({ size: 0, joins: 1, leaves: 1 });
  });

  it("stays when he is back in time, and is waited for anew after that", async () => {
    const { attendances, state } = fleet();
    attendances.enter("room", "ann", undefined);
    await pass(1);
    attendances.leave("room", "ann", 2_000);
    await pass(1_500);
    attendances.enter("room", "ann", undefined);
    await pass(5_000);
    attendances.leave("room", "ann", 2_000);
    await pass(1_500);
    expect(state.reports).toHaveLength(1);
    await pass(1_000);
    expect(state.reports).toEqual([["+room/ann"], ["-room/ann"]]);
  });

  it("is what it was with the first session, whatever the others bring", async () => {
    const { attendances, state } = fleet();
    attendances.enter("room", "ann", "1");
    attendances.enter("room", "ann", "2");
    attendances.leave("room", "ann", 0);
    await pass(5_000);
    attendances.renew();
    await pass(1);
    expect(state.reports).toEqual([["+room/ann1"], ["+room/ann1"]]);
  });

  it("is told a hundred at a time", async () => {
    const { attendances, state } = fleet();
    for (let i = 0; i < 250; i++) attendances.enter("room", `user-${i}`, undefined);
    await pass(1);
    expect(state.reports.map((report) => report.length)).toEqual([100, 100, 50]);
  });

  it("is told anew every ten minutes", async () => {
    const { attendances, state } = fleet();
    attendances.start();
    attendances.enter("room", "ann", undefined);
    await pass(601_000);
    expect(state.reports).toEqual([["+room/ann"], ["+room/ann"]]);
    expect(attendances.joins).toBe(1);
  });

  it("is told as soon as the register is back, who went meanwhile too", async () => {
    const { attendances, state } = fleet();
    attendances.enter("room", "ann", undefined);
    await pass(1);
    state.away = true;
    attendances.leave("room", "ann", 0);
    attendances.enter("room", "bob", undefined);
    await pass(10_000);
    expect([...state.present]).toEqual(["room/ann"]);
    state.away = false;
    await pass(1_000);
    expect([...state.present]).toEqual(["room/bob"]);
  });

  it("is not kept for ever when he went while the register is away", async () => {
    const { attendances, state } = fleet();
    attendances.enter("room", "ann", undefined);
    state.away = true;
    for (let i = 0; i < 12_000; i++) {
      attendances.enter("room", `user-${i}`, undefined);
      attendances.leave("room", `user-${i}`, 0);
    }
    await pass(5_000);
    expect(attendances.size).toBe(10_001);
    state.away = false;
    await pass(2_000);
    expect(attendances.size).toBe(1);
    expect([...state.present]).toEqual(["room/ann"]);
  });

  it("does not leave because the node stops", async () => {
    const { attendances, state } = fleet();
    attendances.enter("room", "ann", undefined);
    await pass(1);
    attendances.leave("room", "ann", 2_000);
    attendances.stop();
    attendances.leave("room", "nobody", 0);
    await pass(10_000);
    expect([...state.present]).toEqual(["room/ann"]);
  });

  it("is not forgotten when he comes and goes while it is told that he went", async () => {
    const { attendances, state } = fleet(700);
    attendances.enter("room", "ann", undefined);
    await pass(1_000);
    attendances.leave("room", "ann", 0);
    await pass(300); // told that she went
    attendances.enter("room", "ann", undefined);
    attendances.leave("room", "ann", 0);
    await pass(800); // told once more
    attendances.enter("room", "ann", undefined);
    await pass(3_000);
    expect(attendances.size).toBe(1);
    expect([...state.present]).toEqual(["room/ann"]);
    attendances.leave("room", "ann", 0);
    await pass(3_000);
    expect([...state.present]).toEqual([]);
  });

  it("is, whatever happens in whatever order, told rightly in the end, and as seldom as can be", async () => {
    const pairs = [
      { channel: "room", user: "ann" },
      { channel: "room", user: "bob" },
      { channel: "lobby", user: "ann" },
    ];
    const step = fc.record({
      pair: fc.constantFrom(...pairs),
      kind: fc.constantFrom("enter", "leave", "leave", "away", "back", "renew"),
      graceMs: fc.constantFrom(0, 2_000, 9_500),
      waitMs: fc.constantFrom(0, 0, 1, 300, 300, 2_500, 11_000),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.constantFrom(0, 1, 700),
        async (steps, answersIn) => {
          const { attendances, state } = fleet(answersIn);
          const sessions = new Map<string, number>();
          const count = (name: string) => sessions.get(name) ?? 0;
          for (const { pair, kind, graceMs, waitMs } of steps) {
            const name = `${pair.channel}/${pair.user}`;
            if (kind === "enter") {
              attendances.enter(pair.channel, pair.user, undefined);
              sessions.set(name, count(name) + 1);
            } else if (kind === "leave" && count(name) > 0) {
              attendances.leave(pair.channel, pair.user, graceMs);
              sessions.set(name, count(name) - 1);
            } else if (kind === "renew") {
              attendances.renew();
            } else if (kind === "away" || kind === "back") {
              state.away = kind === "away";
            }
            await pass(waitMs);
            // Whoever is told of and has a session is never told to have gone.
            if (!state.away && waitMs > 5_000)
              for (const [one, left] of sessions) if (left > 0) expect(state.present).toContain(one);
          }
          state.away = false;
          await pass(15_000);
          const there = pairs
            .map(({ channel, user }) => `${channel}/${user}`)
            .filter((name) => count(name) > 0);
          expect([...state.present].sort()).toEqual(there.sort());
          expect(attendances.size).toBe(there.length);
          expect(attendances.joins - attendances.leaves).toBe(there.length);
          attendances.stop();
        },
      ),
      { numRuns: 500 },
    );
  });
});
