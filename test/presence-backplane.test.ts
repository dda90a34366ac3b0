import { describe, expect } from "vitest";
import type { Member } from "../src/protocol/presence.ts";
import { backplanes, freshPrefix, settle, textOf } from "./support/backplanes.ts";
import { type Event, gone, heard, here, usersIn } from "./support/presence.ts";
import { test } from "./support/servers.ts";

const { all } = backplanes();

describe.each(all)("presence over $name", ({ make }) => {
  test("who comes is a member and a `$join`, who goes a `$leave`, in the channel's history", async () => {
    const one = await make(freshPrefix());
    await one.backplane.subscribe("room");
    await one.backplane.attend([here("room", "bob"), here("room", "ann", '{"name":"Ann Ä"}')]);
    expect(await one.backplane.members("room", undefined, 10)).toEqual({
      count: 2,
      members: [
        { user: "ann", info: '{"name":"Ann Ä"}' },
        { user: "bob", info: undefined },
      ],
    });
    await one.backplane.attend([gone("room", "bob")]);
    expect(await heard(one)).toEqual(["$join bob", '$join ann{"name":"Ann Ä"}', "$leave bob"]);
    expect(await usersIn(one)).toEqual(["ann"]);
    const { events } = await one.backplane.readAfter("room", 0, 10);
    expect(events.map(textOf)).toEqual(one.heard.filter(({ channel }) => channel === "room").map(textOf));
    expect(JSON.parse(textOf(events[2] as (typeof events)[0]))).toEqual({
      type: "$leave",
      channel: "room",
      id: expect.stringMatching(/:3$/),
      timestamp: expect.any(String),
      data: { user: "bob" },
    });
  });

  test("what is known already changes nothing, and the first info stays", async () => {
    const one = await make(freshPrefix());
    await one.backplane.subscribe("room");
    await one.backplane.attend([here("room", "ann", "1"), gone("room", "bob")]);
    await one.backplane.attend([here("room", "ann", "2"), gone("room", "bob")]);
    await one.backplane.attend([gone("room", "ann")]);
    await one.backplane.attend([gone("room", "ann"), gone("lobby", "ann")]);
    await one.backplane.attend([here("room", "ann", "2")]);
    expect(await heard(one)).toEqual(["$join ann1", "$leave ann", "$join ann2"]);
    expect((await one.backplane.members("room", undefined, 1)).members).toEqual([{ user: "ann", info: "2" }]);
  });

  test("a channel without history has members and events too", async () => {
    const one = await make(freshPrefix());
    await one.backplane.subscribe("none-room");
    await one.backplane.attend([here("none-room", "ann"), here("room", "bob")]);
    expect(await heard(one, "none-room")).toEqual(["$join ann"]);
    expect(await usersIn(one, "none-room")).toEqual(["ann"]);
    expect(await one.backplane.members("nobody-here", undefined, 10)).toEqual({ count: 0, members: [] });
  });

  test("any name and any info comes back as it was", async () => {
    const one = await make(freshPrefix());
    await one.backplane.subscribe("room");
    const names = [
      "a/b",
      'quo"te',
      "back\\/slash",
      "line\nbreak",
      "tab\t",
      "nul\0",
      "Ünï",
      "😀",
      "\uffee",
      "(x",
      "[",
      "-",
      "+",
    ];
    const members: Member[] = [...names, "x".repeat(256)].map((user) => ({
      user,
      info: JSON.stringify({ of: user, list: [1, null, "\n"] }),
    }));
    await one.backplane.attend(members.map((member) => ({ ...member, channel: "room", here: true })));
    await settle(one);
    const joined = one.heard.map((event) => (JSON.parse(textOf(event)) as Event).data);
    expect(joined).toEqual(
      members.map(({ user, info }) => ({ user, info: JSON.parse(info ?? "") as unknown })),
    );
    const listed = await one.backplane.members("room", undefined, 100);
    const sorted = members.sort((a, b) => Buffer.compare(Buffer.from(a.user), Buffer.from(b.user)));
    expect(listed).toEqual({ count: members.length, members: sorted });
    for (const [i, { user }] of sorted.entries())
      expect((await one.backplane.members("room", user, 1)).members[0]).toEqual(sorted[i + 1]);
    await one.backplane.attend(members.map(({ user }) => gone("room", user)));
    await settle(one);
    const left = one.heard.slice(members.length).map((event) => (JSON.parse(textOf(event)) as Event).data);
    expect(left).toEqual(members.map(({ user }) => ({ user })));
    expect(await usersIn(one)).toEqual([]);
  });

  test("100,000 members answer in pages, in order, each once", { timeout: 120_000 }, async () => {
    const one = await make(freshPrefix());
    const name = (i: number) => `user-${String(i).padStart(6, "0")}`;
    for (let from = 0; from < 100_000; from += 100) {
      const batch = Array.from({ length: 100 }, (_, i) =>
        here("room", name(((from + i) * 7919) % 100_000), "{}"),
      );
      await one.backplane.attend(batch);
    }
    let slowest = 0;
    const seen: string[] = [];
    for (let after: string | undefined; ; after = seen.at(-1)) {
      const start = performance.now();
      const { count, members } = await one.backplane.members("room", after, 1_000);
      if (after !== undefined) slowest = Math.max(slowest, performance.now() - start);
      expect(count).toBe(100_000);
      if (members.length === 0) break;
      seen.push(...members.map(({ user }) => user));
    }
    expect(seen).toEqual(Array.from({ length: 100_000 }, (_, i) => name(i)));
    expect(slowest).toBeLessThan(1_000);
  });
});
