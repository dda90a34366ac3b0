import { afterEach, describe, expect, it, vi } from "vitest";
import { type Counted, Users } from "../src/session/users.ts";
import { Node, token } from "./tools/conversation.ts";
import { nextTick } from "./tools/turns.ts";

class Session implements Counted {
  tooMany = 0;
  onTooMany(): void {
    this.tooMany++;
  }
}

afterEach(() => {
  vi.useRealTimers();
});

type Report = readonly (readonly [string, number])[];

/** A fleet in which others hold so many connections of each user. */
function fleet(limit: number, elsewhere = 0) {
  const reports: Report[] = [];
  const state = { elsewhere, away: false };
  const users = new Users(limit, {
    async countConnections(counts) {
      if (state.away) throw new Error("away");
      reports.push(counts);
      return counts.map(([, count]) => count + state.elsewhere);
    },
  });
  return { users, reports, state };
}

function add(users: Users, user: string, count: number): Session[] {
  return Array.from({ length: count }, () => {
    const session = new Session();
    users.add(user, session);
    return session;
  });
}

async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await nextTick();
}

describe("the connections of a user", () => {
  it("are told in one report for all that one turn brought", async () => {
    const { users, reports } = fleet(10);
    add(users, "ann", 3);
    add(users, "bob", 1);
    await settled();
    expect(reports).toEqual([
      [
        ["ann", 3],
        ["bob", 1],
      ],
    ]);
  });

  it("are told again when one goes, and as 0 when the last one does", async () => {
    const { users, reports } = fleet(10);
    const [first, second] = add(users, "ann", 2) as [Session, Session];
    await settled();
    users.remove("ann", first);
    users.remove("ann", first);
    await settled();
    users.remove("ann", second);
    await settled();
    expect(reports.slice(1)).toEqual([[["ann", 1]], [["ann", 0]]]);
  });

  it("over the limit on this node are refused before they are there", () => {
    const { users } = fleet(2);
    users.check("ann");
    add(users, "ann", 2);
    expect(() => users.check("ann")).toThrow("the limit is 2 connections");
    users.check("bob");
  });

  it("over the limit in the fleet end, the newest of them, and no more than the surplus", async () => {
    const { users, state } = fleet(5, 2);
    const old = add(users, "ann", 2);
    await settled();
    const fresh = add(users, "ann", 3);
    await settled();
    expect(old.map(({ tooMany }) => tooMany)).toEqual([0, 0]);
    expect(fresh.map(({ tooMany }) => tooMany)).toEqual([0, 1, 1]);
    state.elsewhere = 100;
    const last = add(users, "ann", 1);
    await settled();
    expect(last.map(({ tooMany }) => tooMany)).toEqual([1]);
    expect(old.map(({ tooMany }) => tooMany)).toEqual([0, 0]);
  });

  it("are let in while the census is away, up to the limit here", async () => {
    const { users, reports, state } = fleet(2, 50);
    state.away = true;
    const sessions = add(users, "ann", 2);
    await settled();
    expect(sessions.map(({ tooMany }) => tooMany)).toEqual([0, 0]);
    expect(() => users.check("ann")).toThrow();
    expect(reports).toEqual([]);
  });

  it("are reported a thousand users at a time", async () => {
    const { users, reports } = fleet(2);
    for (let i = 0; i < 2_500; i++) add(users, `user-${i}`, 1);
    await settled();
    expect(reports.map((report) => report.length)).toEqual([1_000, 1_000, 500]);
  });

  it("are counted without a limit too, and nobody is refused", async () => {
    const { users, reports } = fleet(0);
    const sessions = add(users, "ann", 1_000);
    users.check("ann");
    await settled();
    expect(reports).toEqual([[["ann", 1_000]]]);
    expect(sessions.every(({ tooMany }) => tooMany === 0)).toBe(true);
  });

  it("that end while they are counted are not the ones that go", async () => {
    const { users } = fleet(2, 2);
    const [kept, gone] = add(users, "ann", 2) as [Session, Session];
    users.remove("ann", gone);
    await settled();
    expect([kept.tooMany, gone.tooMany]).toEqual([1, 0]);
  });

  it("are reported, those that end meanwhile too, as soon as the census is back", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { users, reports, state } = fleet(2);
    const [ann] = add(users, "ann", 1) as [Session];
    await settled();
    state.away = true;
    users.remove("ann", ann);
    const bobs = add(users, "bob", 2);
    state.elsewhere = 1;
    await settled();
    state.away = false;
    await vi.advanceTimersByTimeAsync(1_000);
    vi.useRealTimers();
    await settled();
    expect(reports.slice(1)).toEqual([
      [
        ["ann", 0],
        ["bob", 2],
      ],
    ]);
    expect(bobs.map(({ tooMany }) => tooMany)).toEqual([0, 1]);
  });
});

describe("a session", () => {
  it("over the limit is told which it is, and closed to come back later", async () => {
    const node = new Node({ maxConnectionsPerUser: 2 });
    node.elsewhere.set("ann", 1);
    const [first, second] = [node.as("ann"), node.as("ann")];
    await settled();
    expect(first.connection.closed).toBeUndefined();
    expect(second.connection.closed).toBe("too_many_connections");
    expect(second.connection.wire.at(-1)).toMatchObject({
      type: "error",
      code: "too_many_connections",
      message: "the limit is 2 connections",
    });
  });

  it("that authenticates by frame is refused like one that did before", async () => {
    const node = new Node({ maxConnectionsPerUser: 1 });
    node.as("ann");
    const late = node.anonymous();
    const answers = await late.ask({ type: "auth", token: token("ann"), ref: 1 });
    expect(answers.at(-1)).toMatchObject({ type: "error", code: "too_many_connections", ref: 1 });
    expect(late.connection.closed).toBe("too_many_connections");
  });

  it("that ends makes room", async () => {
    const node = new Node({ maxConnectionsPerUser: 1 });
    const first = node.as("ann");
    await settled();
    first.connection.hangUp();
    const second = node.as("ann");
    await settled();
    expect(second.connection.closed).toBeUndefined();
  });
});
