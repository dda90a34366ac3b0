import { describe, expect, it } from "vitest";
import { encode } from "../src/hub/encoded-event.ts";
import { RequestError } from "../src/protocol/codes.ts";
import { Node } from "./tools/conversation.ts";
import { FakeFeed, KEEPS_ALL } from "./tools/feed.ts";
import { nextTick } from "./tools/turns.ts";

const ALL = { "*": ["subscribe", "publish"] };

/** Without what changes from run to run. */
function untimed(frame: Record<string, unknown>): Record<string, unknown> {
  const { timestamp, ...rest } = frame;
  if (timestamp !== undefined) expect(timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  return rest;
}

describe("the first frame", () => {
  it("is welcome, with who and what the client deals with", async () => {
    const client = new Node({ maxChannels: 7, commandRate: 50 }).as("ann", ALL, ["chat-1"]);
    const [first, second] = await client.frames();
    expect(first).toEqual({
      type: "welcome",
      connection: "c-1",
      node: "node1",
      user: "ann",
      expires_in: expect.any(Number),
      heartbeat: 30_000,
      limits: { frame_bytes: 65_536, channels: 7, commands_per_second: 50 },
      features: ["publish", "binary", "history", "resume"],
      reconnect: { min: 500, max: 7_500 },
    });
    expect(first?.expires_in).toBeGreaterThan(50_000);
    expect(first?.expires_in).toBeLessThanOrEqual(60_000);
    expect(second).toEqual({ type: "subscribed", channel: "chat-1" });
  });

  it("knows no user and no end before auth", async () => {
    const [first] = await new Node().anonymous().frames();
    expect(first).toMatchObject({ type: "welcome", user: null, expires_in: null });
  });
});

describe("a command", () => {
  it.each([
    ["subscribe", { type: "subscribe", channel: "x" }, { type: "subscribed", channel: "x" }],
    ["unsubscribe", { type: "unsubscribe", channel: "x" }, { type: "unsubscribed", channel: "x" }],
    [
      "publish",
      { type: "publish", channel: "x", data: 1 },
      { type: "published", channel: "x", listeners: 0 },
    ],
    [
      "message",
      { type: "message", channel: "x", text: "hi" },
      { type: "published", channel: "x", listeners: 0 },
    ],
  ])("%s is answered with its ref, and not without one", async (_type, command, reply) => {
    const client = new Node().as("ann", ALL);
    expect(await client.ask(command)).toEqual([]);
    for (const ref of [0, "r"]) expect(await client.ask({ ...command, ref })).toEqual([{ ...reply, ref }]);
  });

  it("ping is answered always", async () => {
    const client = new Node().anonymous();
    expect(await client.ask({ type: "ping" })).toEqual([{ type: "pong" }]);
    expect(await client.ask({ type: "ping", ref: 1 })).toEqual([{ type: "pong", ref: 1 }]);
  });

  it("that fails is answered always, with its ref when it has one", async () => {
    const client = new Node().as("ann");
    const failed = {
      type: "error",
      code: "forbidden",
      message: "nothing allows subscribe on x",
      channel: "x",
      temporary: false,
    };
    expect(await client.ask({ type: "subscribe", channel: "x" })).toEqual([failed]);
    expect(await client.ask({ type: "subscribe", channel: "x", ref: 5 })).toEqual([{ ...failed, ref: 5 }]);
    expect(client.connection.closed).toBeUndefined();
  });

  it("that is malformed is an error, and the connection lives", async () => {
    const client = new Node().as("ann", ALL);
    const errors = await client.ask(
      "{",
      "[1]",
      '{"type":"shout","ref":1}',
      '{"type":"subscribe","channel":"a b"}',
    );
    expect(errors.map(({ type, code, ref }) => [type, code, ref])).toEqual([
      ["error", "bad_frame", undefined],
      ["error", "bad_frame", undefined],
      ["error", "unknown_type", 1],
      ["error", "bad_channel", undefined],
    ]);
    expect(await client.ask({ type: "ping" })).toEqual([{ type: "pong" }]);
  });

  it("is counted by its type, and its error by its code", async () => {
    const node = new Node();
    await node.as("ann").ask({ type: "ping" }, { type: "message", text: "hi" }, "{");
    expect(node.commands).toEqual(["ping", "publish"]);
    expect(node.errors).toEqual(["channel_required", "bad_frame"]);
  });
});

describe("subscribe", () => {
  it("answers once for each channel, the refused ones among them", async () => {
    const client = new Node().as("ann", { a: ["subscribe"], b: ["subscribe"] });
    const channels = ["a", "no", "b"].map((channel) => ({ channel }));
    const replies = await client.ask({ type: "subscribe", channels, ref: 1 });
    expect(replies.map(({ type, channel, ref }) => `${type} ${channel} ${ref}`).sort()).toEqual([
      "error no 1",
      "subscribed a 1",
      "subscribed b 1",
    ]);
  });

  it("twice answers again and changes nothing", async () => {
    const node = new Node();
    const client = node.as("ann", ALL);
    const subscribe = { type: "subscribe", channel: "x", ref: 1 };
    expect(await client.ask(subscribe, subscribe)).toHaveLength(2);
    expect(await client.ask(subscribe)).toEqual([{ type: "subscribed", channel: "x", ref: 1 }]);
    expect(node.hub.subscriptions).toBe(1);
    expect((await client.ask({ type: "publish", channel: "x", data: 1 })).map(untimed)).toEqual([
      { type: "message", channel: "x", data: 1, sender: "ann" },
    ]);
  });

  it("needs its own grant, and a rule of the server is one", async () => {
    const client = new Node().as("ann", { x: ["publish", "history"] });
    expect((await client.ask({ type: "subscribe", channel: "x", ref: 1 }))[0]).toMatchObject({
      code: "forbidden",
    });
    expect((await client.ask({ type: "subscribe", channel: "public:x", ref: 1 }))[0]).toMatchObject({
      type: "subscribed",
    });
  });

  it("fails as temporary while the backplane is away, and works when it is back", async () => {
    const node = new Node({}, new FakeFeed(false));
    const client = node.as("ann", ALL);
    client.send({ type: "subscribe", channel: "x", ref: 1 });
    node.feed.reject("x");
    expect((await client.frames()).at(-1)).toMatchObject({
      type: "error",
      ref: 1,
      code: "backplane_unavailable",
      channel: "x",
      temporary: true,
    });
    client.send({ type: "subscribe", channel: "x", ref: 2 });
    node.feed.resolve("x");
    expect(await client.frames()).toEqual([{ type: "subscribed", channel: "x", ref: 2 }]);
  });

  it("comes before every event of its channel, and unsubscribed behind all", async () => {
    const node = new Node();
    const [client, other] = [node.as("ann", ALL), node.as("bob", ALL)];
    for (let i = 0; i < 5; i++) {
      other.send({ type: "publish", channel: "x", data: i });
      if (i === 1) client.send({ type: "subscribe", channel: "x", ref: "s" });
      if (i === 3) client.send({ type: "unsubscribe", channel: "x", ref: "u" });
      await nextTick();
    }
    const heard = (await client.frames()).slice(1).map(({ type, ref, data }) => ref ?? `${type} ${data}`);
    expect(heard.at(0)).toBe("s");
    expect(heard.at(-1)).toBe("u");
    expect(heard).toContain("message 2");
  });
});

describe("commands for one channel", () => {
  it("are carried out in the order sent, and hold up no other channel", async () => {
    const node = new Node({}, new FakeFeed(false));
    const client = node.as("ann", ALL);
    await client.frames();
    client.send(
      { type: "subscribe", channel: "x", ref: 1 },
      { type: "publish", channel: "x", data: "one", ref: 2 },
      { type: "unsubscribe", channel: "x", ref: 3 },
      { type: "subscribe", channel: "x", ref: 4 },
      { type: "subscribe", channel: "y", ref: 5 },
      { type: "publish", channel: "z", data: 1, ref: 6 },
    );
    await nextTick();
    node.feed.resolve("y");
    expect((await client.frames()).map(({ ref }) => ref)).toEqual([6, 5]);
    node.feed.resolve("x");
    expect((await client.frames()).map(({ ref, type }) => ref ?? type)).toEqual([1, "message", 2, 3]);
    node.feed.resolve("x");
    expect((await client.frames()).map(({ ref }) => ref)).toEqual([4]);
    expect(node.feed.calls).toEqual(["+x", "+y", "-x", "+x"]);
  });

  it("go on behind one that failed", async () => {
    const node = new Node({}, new FakeFeed(false));
    const client = node.as("ann", ALL);
    await client.frames();
    client.send(
      { type: "subscribe", channel: "x", ref: 1 },
      { type: "publish", channel: "x", data: 1, ref: 2 },
    );
    node.feed.reject("x");
    expect((await client.frames()).map(({ type, ref }) => [type, ref])).toEqual([
      ["error", 1],
      ["published", 2],
    ]);
  });

  it("publish in the order sent, also when the backplane answers the later one first", async () => {
    const node = new Node();
    const client = node.as("ann", ALL);
    await client.frames();
    const answers: (() => void)[] = [];
    node.outlet = () => new Promise((resolve) => answers.push(() => resolve(1)));
    client.send(
      { type: "publish", channel: "x", data: 1, ref: 1 },
      { type: "publish", channel: "x", data: 2, ref: 2 },
    );
    await nextTick();
    expect(answers, "the second waits for the first").toHaveLength(1);
    answers[0]?.();
    await nextTick();
    answers[1]?.();
    expect((await client.frames()).map(({ ref }) => ref)).toEqual([1, 2]);
  });
});

describe("publish", () => {
  it("reaches every subscriber, the publisher too, with the user as its sender", async () => {
    const node = new Node();
    const [ann, bob] = [node.as("ann", ALL, ["x"]), node.as("bob", ALL, ["x"])];
    await bob.frames();
    const event = { type: "room.moved", channel: "x", data: { to: "there" }, sender: "ann" };
    const own = await ann.ask({
      type: "publish",
      channel: "x",
      event: { type: "room.moved", data: { to: "there" } },
      ref: 1,
    });
    expect(own.map(untimed)).toEqual([event, { type: "published", ref: 1, channel: "x", listeners: 1 }]);
    expect((await bob.frames()).map(untimed)).toEqual([event]);
  });

  it("with echo false reaches everybody but its own connection", async () => {
    const node = new Node();
    const [ann, twin] = [node.as("ann", ALL, ["x"]), node.as("ann", ALL, ["x"])];
    await twin.frames();
    const own = await ann.ask(
      { type: "publish", channel: "x", data: 1, echo: false },
      { type: "publish", channel: "x", data: 2 },
      { type: "publish", channel: "x", data: 3, echo: false },
    );
    expect(own.map(({ data }) => data)).toEqual([2]);
    expect((await twin.frames()).map(({ data }) => data)).toEqual([1, 2, 3]);
  });

  it("needs its own grant, and nothing is published without", async () => {
    const node = new Node();
    const client = node.as("ann", { x: ["subscribe", "publish_as"] });
    expect((await client.ask({ type: "publish", channel: "x", data: 1 }))[0]).toMatchObject({
      type: "error",
      code: "forbidden",
      channel: "x",
    });
    expect(node.publications).toEqual(["forbidden"]);
  });

  it("to a channel of the gateway is refused whatever the grants say", async () => {
    const node = new Node();
    const [reply] = await node.as("ann", ALL).ask({ type: "publish", channel: "job:1", data: 1, ref: 1 });
    expect(reply).toMatchObject({ code: "reserved_channel", channel: "job:1", ref: 1 });
  });

  it("shows another sender only to who may publish_as", async () => {
    const node = new Node();
    const event = { data: 1, sender: "bob" };
    const speaker = node.as("backend", { x: ["subscribe", "publish", "publish_as"] }, ["x"]);
    const [heard] = await speaker.ask({ type: "publish", channel: "x", event });
    expect(heard).toMatchObject({ sender: "bob" });
    const [refused] = await node.as("ann", ALL).ask({ type: "publish", channel: "x", event });
    expect(refused).toMatchObject({ code: "forbidden", message: "nothing allows publish_as on x" });
    const [own] = await node.as("bob", ALL, ["x"]).ask({ type: "publish", channel: "x", event });
    expect(own, "to be oneself needs no grant").toMatchObject({ sender: "bob" });
  });

  it("that the backplane refuses is a temporary error", async () => {
    const node = new Node();
    const client = node.as("ann", ALL);
    node.outlet = () => Promise.reject(new RequestError("backplane_unavailable"));
    expect(await client.ask({ type: "publish", channel: "x", data: 1, ref: 1 })).toMatchObject([
      { type: "error", ref: 1, code: "backplane_unavailable", temporary: true },
    ]);
    expect(node.publications).toEqual(["backplane_unavailable"]);
  });
});

describe("a message without a channel", () => {
  const article = '{ "type": "message", "text": "Hi back!" }';

  it("goes to the only subscription there is", async () => {
    const client = new Node().as("ann", ALL, ["chat-123"]);
    expect((await client.ask(article)).map(untimed)).toEqual([
      { type: "message", channel: "chat-123", data: { text: "Hi back!" }, sender: "ann" },
    ]);
  });

  it("may be pipelined behind the subscribe", async () => {
    const client = new Node().as("ann", ALL);
    const frames = await client.ask('{ "type": "subscribe", "channel": "chat-123" }', article);
    expect(frames.map(({ data }) => data)).toEqual([{ text: "Hi back!" }]);
  });

  it.each([
    ["none", []],
    ["two", ["x", "y"]],
  ])("is refused with %s", async (_count, asked) => {
    const client = new Node().as("ann", ALL, asked);
    expect(await client.ask(article)).toMatchObject([{ type: "error", code: "channel_required" }]);
  });
});

describe("an interruption", () => {
  it("is told on each live subscription, without a ref", async () => {
    const node = new Node();
    const client = node.as("ann", ALL, ["x", "y"]);
    await client.frames();
    node.hub.interrupted();
    expect(await client.frames()).toEqual([
      { type: "subscribed", channel: "x", resumed: false, reason: "history_lost" },
      { type: "subscribed", channel: "y", resumed: false, reason: "history_lost" },
    ]);
  });

  it("is not told on a subscription that ended before its turn came", async () => {
    const node = new Node({ maxChannels: 0 });
    const names = Array.from({ length: 300 }, (_, i) => `c${i}`);
    const client = node.as("ann", ALL, names);
    await client.frames();
    node.hub.interrupted();
    client.send({ type: "unsubscribe", channel: "c299", ref: 1 });
    const frames = await client.frames();
    expect(frames.filter(({ channel }) => channel === "c299").map(({ type }) => type)).toEqual([
      "unsubscribed",
    ]);
    expect(frames.map(({ channel, reason }) => reason && channel)).toEqual(
      expect.arrayContaining(names.slice(0, -1)),
    );
  });

  it("is not told where nothing is missing: what was missed is fetched", async () => {
    const node = new Node({}, new FakeFeed(true, KEEPS_ALL));
    const client = node.as("ann", ALL, ["x"]);
    await client.ask({ type: "publish", channel: "x", data: 1 });
    node.hub.interrupted();
    expect(await client.frames()).toEqual([]);
    const rest = { channel: "x", type: "message", sender: undefined, except: undefined, key: undefined };
    for (const data of ["2", "3"]) node.feed.history.append({ ...rest, data }); // nobody hears them
    node.hub.interrupted();
    expect((await client.frames()).map(({ data }) => data)).toEqual([2, 3]);
    expect((await client.ask({ type: "publish", channel: "x", data: 4 })).map(({ data }) => data)).toEqual([
      4,
    ]);
  });

  it("is told where the history is empty, or something came by that it does not hold", async () => {
    const node = new Node({}, new FakeFeed(true, KEEPS_ALL));
    const client = node.as("ann", ALL);
    const lost = { type: "subscribed", channel: "x", resumed: false, reason: "history_lost" };
    const [begun] = (await client.ask({ type: "subscribe", channel: "x", ref: 1 })).slice(-1);
    node.hub.interrupted();
    expect(await client.frames()).toEqual([{ ...lost, id: begun?.id }]);
    const [event] = await client.ask({ type: "publish", channel: "x", data: 1 });
    node.hub.interrupted();
    expect(await client.frames()).toEqual([]);
    // As by a plain PUBLISH.
    node.hub.deliver(encode({ type: "message", channel: "x", timestamp: "2026-03-08T14:30:00Z" }, "2"));
    expect(await client.frames()).toMatchObject([{ type: "message", data: 2 }]);
    for (let i = 0; i < 2; i++) {
      node.hub.interrupted();
      expect(await client.frames()).toEqual([{ ...lost, id: event?.id }]);
    }
  });
});
