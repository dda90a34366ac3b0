import { afterEach, describe, expect, it, vi } from "vitest";
import { RequestError } from "../src/protocol/codes.ts";
import { Node } from "./tools/conversation.ts";
import { FakeFeed } from "./tools/feed.ts";

const ALL = { "*": ["subscribe", "publish"] };

afterEach(() => {
  vi.useRealTimers();
});

describe("the limit", () => {
  it("of channels holds, and a channel that is left makes room", async () => {
    const node = new Node({ maxChannels: 2 });
    const client = node.as("ann", ALL);
    const channels = ["a", "b"].map((channel) => ({ channel }));
    expect(await client.ask({ type: "subscribe", channels, ref: 1 })).toHaveLength(2);
    expect(await client.ask({ type: "subscribe", channel: "c", ref: 2 })).toMatchObject([
      { type: "error", code: "too_many_channels", channel: "c", ref: 2 },
    ]);
    expect(await client.ask({ type: "subscribe", channel: "a", ref: 3 })).toMatchObject([
      { type: "subscribed" },
    ]);
    const moved = await client.ask(
      { type: "unsubscribe", channel: "a" },
      { type: "subscribe", channel: "c", ref: 4 },
    );
    expect(moved).toEqual([{ type: "subscribed", channel: "c", ref: 4 }]);
    expect(node.hub.subscriptions).toBe(2);
  });

  it("of channels refuses a list that can never fit at once, in a frame or in the URL", async () => {
    const node = new Node({ maxChannels: 2 });
    const names = ["a", "b", "c"];
    const client = node.as("ann", ALL, names);
    const refused = { type: "error", code: "too_many_channels" };
    expect((await client.frames()).slice(1)).toMatchObject([refused]);
    const channels = names.map((channel) => ({ channel }));
    expect(await client.ask({ type: "subscribe", channels, ref: 1 })).toMatchObject([{ ...refused, ref: 1 }]);
    expect(node.feed.calls).toEqual([]);
  });

  it("of channels counts no subscribe that failed", async () => {
    const node = new Node({ maxChannels: 1 }, new FakeFeed(false));
    const client = node.as("ann", ALL);
    client.send({ type: "subscribe", channel: "a", ref: 1 });
    node.feed.reject("a");
    await client.frames();
    client.send({ type: "subscribe", channel: "b", ref: 2 });
    node.feed.resolve("b");
    expect(await client.frames()).toEqual([{ type: "subscribed", channel: "b", ref: 2 }]);
  });

  it("of channels counts those under way, so that pipelined ones cannot pass it together", async () => {
    const node = new Node({ maxChannels: 1 }, new FakeFeed(false));
    const client = node.as("ann", ALL);
    await client.frames();
    client.send({ type: "subscribe", channel: "a", ref: 1 }, { type: "subscribe", channel: "b", ref: 2 });
    expect(await client.frames()).toMatchObject([{ type: "error", code: "too_many_channels", ref: 2 }]);
    expect(node.feed.pending).toEqual(["a"]);
  });

  it("of commands lets four seconds' worth come at once, then the rate, then all is well again", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const client = new Node({ commandRate: 5 }).as("ann");
    const burst = await client.ask(...Array.from({ length: 25 }, () => ({ type: "ping" })));
    expect(burst.filter(({ type }) => type === "pong")).toHaveLength(20);
    expect(burst.at(-1)).toEqual({
      type: "error",
      code: "command_rate",
      message: expect.any(String),
      temporary: true,
    });
    vi.advanceTimersByTime(1_000);
    const second = await client.ask(...Array.from({ length: 10 }, () => ({ type: "ping" })));
    expect(second.filter(({ type }) => type === "pong")).toHaveLength(5);
    vi.advanceTimersByTime(600_000);
    const later = await client.ask(...Array.from({ length: 30 }, () => ({ type: "ping" })));
    expect(later.filter(({ type }) => type === "pong")).toHaveLength(20);
    expect(client.connection.closed).toBeUndefined();
  });

  it("of commands counts each channel of a subscribe", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const client = new Node({ commandRate: 5 }).as("ann", ALL);
    const channels = Array.from({ length: 30 }, (_, i) => ({ channel: `c${i}` }));
    expect(await client.ask({ type: "subscribe", channels, ref: 1 })).toHaveLength(30);
    expect(await client.ask({ type: "ping" })).toMatchObject([{ code: "command_rate" }]);
    vi.advanceTimersByTime(2_000); // 10 over the burst of 20
    expect(await client.ask({ type: "ping" })).toMatchObject([{ code: "command_rate" }]);
    vi.advanceTimersByTime(300);
    expect(await client.ask({ type: "ping" })).toEqual([{ type: "pong" }]);
  });

  it("of commands ends a client that goes on and on, and none that slows down", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const node = new Node({ commandRate: 5 });
    const pings = (count: number) => Array.from({ length: count }, () => ({ type: "ping" }));
    const flood = node.as("ann");
    await flood.ask(...pings(40));
    expect(flood.connection.closed).toBeUndefined();
    await flood.ask({ type: "ping" });
    expect(flood.connection.closed).toBe("command_rate");

    const calming = node.as("ann");
    for (let i = 0; i < 10; i++) {
      await calming.ask(...pings(35));
      vi.advanceTimersByTime(5_000);
    }
    expect(calming.connection.closed).toBeUndefined();
  });

  it("of commands holds for garbage and for refused binary frames too", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const client = new Node({ commandRate: 5 }).as("ann");
    await client.ask(...Array.from({ length: 19 }, () => "garbage"));
    const { conversation } = client.connection;
    conversation.reject(new RequestError("bad_frame"));
    conversation.reject(new RequestError("bad_frame"));
    expect((await client.frames()).map(({ code }) => code)).toEqual(["bad_frame", "command_rate"]);
  });

  it("of 0 is none", async () => {
    const client = new Node({ commandRate: 0, maxChannels: 0 }).as("ann", ALL);
    const channels = Array.from({ length: 500 }, (_, i) => ({ channel: `c${i}` }));
    expect(await client.ask({ type: "subscribe", channels, ref: 1 })).toHaveLength(500);
  });

  it("of commands under way is 2,000, for those at the backplane and for those behind an auth", async () => {
    const node = new Node({ commandRate: 0, maxChannels: 0 }, new FakeFeed(false));
    const client = node.as("ann", ALL);
    await client.frames();
    const subscribe = (i: number) => ({ type: "subscribe", channel: `c${i}`, ref: i });
    client.send(...Array.from({ length: 2_002 }, (_, i) => subscribe(i)));
    const refused = { type: "error", code: "command_rate", temporary: true };
    expect(await client.frames()).toMatchObject([
      { ...refused, ref: 2_000, channel: "c2000" },
      { ...refused, ref: 2_001, channel: "c2001" },
    ]);
    expect(node.feed.pending).toHaveLength(2_000);

    const waiting = new Node({ commandRate: 0, verify: () => new Promise(() => {}) }).anonymous();
    await waiting.frames();
    waiting.send(
      { type: "auth", token: "t" },
      ...Array.from({ length: 2_001 }, (_, ref) => ({ type: "ping", ref })),
    );
    expect(await waiting.frames()).toMatchObject([{ ...refused, ref: 2_000 }]);
  });
});
