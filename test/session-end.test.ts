import { afterEach, describe, expect, it, vi } from "vitest";
import { encode } from "../src/hub/encoded-event.ts";
import { Node, token } from "./tools/conversation.ts";
import { FakeFeed } from "./tools/feed.ts";
import { identity } from "./tools/forge.ts";
import { nextTick } from "./tools/turns.ts";

const ALL = { "*": ["subscribe", "publish"] };

afterEach(() => {
  vi.useRealTimers();
});

describe("the end of a session", () => {
  it("leaves no subscription behind", async () => {
    const node = new Node();
    const client = node.as("ann", ALL, ["x", "y"]);
    await client.frames();
    client.connection.hangUp();
    expect([node.hub.subscriptions, node.hub.channels, node.feed.standing.size]).toEqual([0, 0, 0]);
  });

  it("leaves none behind that was under way", async () => {
    const node = new Node({}, new FakeFeed(false));
    const client = node.as("ann", ALL, ["x"]);
    client.connection.hangUp();
    node.feed.resolve("x");
    await nextTick();
    expect([node.hub.subscriptions, node.hub.channels, node.feed.standing.size]).toEqual([0, 0, 0]);
  });

  it("cancels its deadline", async () => {
    vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
    const node = new Node({ authTimeoutMs: 5_000 });
    node.deadlines.start();
    const client = node.anonymous();
    client.connection.hangUp();
    vi.advanceTimersByTime(20_000);
    expect(client.connection.lateCloses).toEqual([]);
  });

  it("stops what is queued behind a command under way", async () => {
    const node = new Node({}, new FakeFeed(false));
    const published: string[] = [];
    node.outlet = async ({ channel }) => {
      published.push(channel);
      return 1;
    };
    const client = node.as("ann", ALL);
    client.send(
      { type: "subscribe", channel: "x", ref: 1 },
      { type: "publish", channel: "x", data: 1, ref: 2 },
      { type: "unsubscribe", channel: "x", ref: 3 },
      { type: "subscribe", channel: "x", ref: 4 },
    );
    client.connection.hangUp();
    node.feed.resolve("x");
    await nextTick();
    expect(published).toEqual([]);
    expect(node.feed.calls).toEqual(["+x", "-x"]);
  });
});

describe("after its end a session sends nothing", () => {
  it("when a subscribe under way is confirmed or fails", async () => {
    for (const answer of ["resolve", "reject"] as const) {
      const node = new Node({}, new FakeFeed(false));
      const client = node.as("ann", ALL);
      client.send({ type: "subscribe", channel: "x", ref: 1 });
      client.connection.hangUp();
      node.feed[answer]("x");
      await nextTick();
      expect(client.connection.late, answer).toEqual([]);
    }
  });

  it("when a publish under way is confirmed or fails", async () => {
    for (const answer of [() => 1, () => Promise.reject(new Error("late"))]) {
      const node = new Node();
      const client = node.as("ann", ALL);
      let go = () => {};
      const gate = new Promise<void>((resolve) => {
        go = resolve;
      });
      node.outlet = async () => {
        await gate;
        return await answer();
      };
      client.send({ type: "publish", channel: "x", data: 1, ref: 1 });
      client.connection.hangUp();
      go();
      await nextTick();
      expect(client.connection.late).toEqual([]);
    }
  });

  it("when an unsubscribe waits behind a subscribe", async () => {
    const node = new Node({}, new FakeFeed(false));
    const client = node.as("ann", ALL);
    client.send({ type: "subscribe", channel: "x", ref: 1 }, { type: "unsubscribe", channel: "x", ref: 2 });
    client.connection.hangUp();
    node.feed.resolve("x");
    await nextTick();
    expect(client.connection.late).toEqual([]);
  });

  it("when its token is found good or bad", async () => {
    const known = identity();
    for (const verdict of [() => known, () => Promise.reject(new Error("late"))]) {
      let go = () => {};
      const gate = new Promise<void>((resolve) => {
        go = resolve;
      });
      const node = new Node({
        verify: async () => {
          await gate;
          return await verdict();
        },
      });
      const client = node.anonymous(["public:x"]);
      client.send({ type: "auth", token: "t" }, { type: "ping" });
      client.connection.hangUp();
      go();
      await nextTick();
      expect(client.connection.late).toEqual([]);
      expect(node.feed.calls).toEqual([]);
    }
  });

  it("when events of its channels come", async () => {
    const node = new Node();
    const client = node.as("ann", ALL, ["x"]);
    await client.frames();
    const event = encode({ type: "message", channel: "x", timestamp: "2026-03-08T14:30:00Z" }, "1");
    node.hub.deliver(event);
    expect(await client.frames()).toHaveLength(1);
    client.connection.hangUp();
    node.hub.deliver(event);
    await nextTick();
    expect(client.connection.late).toEqual([]);
    expect(await client.frames()).toEqual([]);
  });
});

describe("a bug behind a command", () => {
  it("in publishing ends the connection as internal, and the log says why", async () => {
    const node = new Node();
    const client = node.as("ann", ALL, ["x"]);
    node.outlet = () => Promise.reject(new TypeError("a bug in the outlet"));
    expect(await client.ask({ type: "publish", channel: "x", data: 1, ref: 1 })).toEqual([]);
    expect(client.connection.closed).toBe("internal");
    expect(node.lines.join("")).toContain("a bug in the outlet");
    expect(node.publications).toEqual(["internal"]);
    expect(node.hub.subscriptions).toBe(0);
  });

  it("in verifying ends the connection as internal, whether it threw at once or later", async () => {
    const throwsAtOnce = () => {
      throw new TypeError("a bug in verifying");
    };
    const throwsLater = () => Promise.reject(new TypeError("a bug in verifying"));
    for (const verify of [throwsAtOnce, throwsLater]) {
      const node = new Node({ verify });
      const client = node.anonymous();
      expect(await client.ask({ type: "auth", token: token("ann") })).toEqual([]);
      expect(client.connection.closed).toBe("internal");
      expect(node.lines.join("")).toContain("a bug in verifying");
    }
  });

  it("ends no other connection", async () => {
    const node = new Node();
    const [bad, good] = [node.as("ann", ALL), node.as("bob", ALL, ["x"])];
    node.outlet = () => Promise.reject(new TypeError("a bug"));
    await bad.ask({ type: "publish", channel: "x", data: 1 });
    node.outlet = undefined;
    await good.frames();
    expect(await good.ask({ type: "publish", channel: "x", data: 1 })).toMatchObject([{ type: "message" }]);
  });
});

describe("a hint", () => {
  const subscribe = { type: "subscribe", channel: "x", ref: 1 };

  it("says in development mode what would have granted it", async () => {
    const [error] = await new Node({ hints: true }).as("ann").ask(subscribe);
    expect(error).toMatchObject({
      code: "forbidden",
      hint: 'would be granted by the claim "channels": {"x": ["subscribe"]} in the token, or the same in TIDEGATE_GRANTS',
    });
  });

  it("goes to the log alone in production", async () => {
    const node = new Node({ hints: false });
    const [error] = await node.as("ann").ask(subscribe);
    expect(error).not.toHaveProperty("hint");
    const line = node.lines
      .map((text) => JSON.parse(text) as Record<string, unknown>)
      .find(({ code }) => code === "forbidden");
    expect(line).toMatchObject({ user: "ann", connection: "c-1", channel: "x" });
    expect(line?.hint).toContain('{"x": ["subscribe"]}');
  });
});
