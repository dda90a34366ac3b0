import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Identity } from "../src/auth/identity.ts";
import { TokenError } from "../src/auth/token.ts";
import { CODES } from "../src/protocol/codes.ts";
import { type ContextOptions, Node, type Talker, token } from "./tools/conversation.ts";
import { FakeFeed } from "./tools/feed.ts";
import { claims, identity, inSeconds, OTHER_SECRET, tokenWith } from "./tools/forge.ts";

const ALL = { "*": ["subscribe", "publish"] };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"], now: 1_790_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

function auth(
  user = "ann",
  channels: Record<string, string[]> = ALL,
  more: { seconds?: number; ref?: number } = {},
) {
  const { seconds = 60, ...ref } = more;
  return { type: "auth", token: token(user, channels, seconds), ...ref };
}

describe("auth as the first frame", () => {
  it("says who the client is now, with a ref or without", async () => {
    for (const ref of [{}, { ref: 7 }]) {
      const client = new Node().anonymous();
      expect(await client.ask(auth("ann", ALL, ref))).toEqual([
        { type: "authenticated", user: "ann", expires_in: 60_000, ...ref },
      ]);
    }
  });

  it("lets commands be pipelined behind it, in order", async () => {
    const frames = await new Node()
      .anonymous()
      .ask(
        auth(),
        { type: "subscribe", channel: "x", ref: 1 },
        { type: "publish", channel: "x", data: 1, ref: 2 },
        { type: "ping" },
      );
    expect(frames.map(({ type }) => type)).toEqual([
      "authenticated",
      "pong",
      "subscribed",
      "message",
      "published",
    ]);
  });

  it("is required before every command but ping", async () => {
    const client = new Node().anonymous();
    const errors = await client.ask(
      { type: "subscribe", channel: "public:x", ref: 1 },
      { type: "unsubscribe", channel: "x", ref: 2 },
      { type: "publish", channel: "x", data: 1, ref: 3 },
      { type: "message", text: "hi" },
    );
    expect(errors.map(({ code, ref }) => [code, ref])).toEqual([
      ["auth_required", 1],
      ["auth_required", 2],
      ["auth_required", 3],
      ["auth_required", undefined],
    ]);
    expect(client.connection.closed).toBeUndefined();
  });

  it("keeps what came behind it waiting while a key is fetched, and nothing else can pass", async () => {
    const { client, verified } = slowAuth();
    client.send(auth(), { type: "subscribe", channel: "x", ref: 1 }, { type: "ping", ref: 2 });
    expect((await client.frames()).map(({ type }) => type)).toEqual(["welcome"]);
    client.send({ type: "publish", channel: "x", data: 1, ref: 3 });
    verified[0]?.accept("ann");
    expect((await client.frames()).map(({ type, ref }) => ref ?? type)).toEqual([
      "authenticated",
      2,
      1,
      "message",
      3,
    ]);
  });

  it("may come twice in one go: the commands between belong to the first", async () => {
    const { client, verified } = slowAuth();
    client.send(auth(), { type: "subscribe", channel: "x", ref: 1 }, auth(), {
      type: "subscribe",
      channel: "y",
      ref: 2,
    });
    await client.frames();
    verified[0]?.accept("ann");
    expect((await client.frames()).map(({ type, ref }) => ref ?? type)).toEqual(["authenticated", 1]);
    verified[1]?.accept("ann");
    expect((await client.frames()).map(({ type, ref }) => ref ?? type)).toEqual(["authenticated", 2]);
  });
});

describe("a first auth that fails", () => {
  it.each<[string, "token_expired" | "token_invalid", () => string]>([
    ["expired", "token_expired", () => token("ann", {}, -1)],
    ["signed with another secret", "token_invalid", () => tokenWith(claims(), { key: OTHER_SECRET })],
    ["garbage", "token_invalid", () => "garbage"],
    ["empty", "token_invalid", () => ""],
  ])("because the token is %s is an error and then the end: %s", async (_what, code, make) => {
    const node = new Node();
    const client = node.anonymous(["public:x"]);
    const frames = await client.ask(
      { type: "auth", token: make(), ref: 9 },
      { type: "subscribe", channel: "public:y", ref: 10 },
    );
    expect(frames).toEqual([{ type: "error", ref: 9, code, message: CODES[code].title, temporary: false }]);
    expect(client.connection.closed).toBe(code);
    expect(node.hub.subscriptions).toBe(0);
    expect(node.feed.calls).toEqual([]);
  });

  it("because the keys are not there is temporary, and ends in the range that comes back", async () => {
    const { client, verified } = slowAuth();
    client.send(auth("ann", ALL, { ref: 1 }));
    await client.frames();
    verified[0]?.refuse(new TokenError("auth_unavailable", "no key set was fetched yet"));
    expect(await client.frames()).toMatchObject([
      { type: "error", code: "auth_unavailable", ref: 1, temporary: true },
    ]);
    expect(client.connection.closed).toBe("auth_unavailable");
    expect(CODES.auth_unavailable.close).toBeLessThan(4_500);
  });

  it("tells its reason to the log, and no token to anybody", async () => {
    const node = new Node();
    const client = node.anonymous();
    const bad = tokenWith(claims(), { key: OTHER_SECRET });
    const [error] = await client.ask({ type: "auth", token: bad });
    const logged = node.lines.join("");
    expect(logged).toContain("invalid signature");
    expect(JSON.stringify(error)).not.toContain("signature");
    for (const part of bad.split("."))
      expect(logged + JSON.stringify(client.connection.wire)).not.toContain(part);
  });
});

describe("without auth", () => {
  it("a connection ends when its time is over, and not before", async () => {
    const node = started({ authTimeoutMs: 10_000 });
    const client = node.anonymous();
    vi.advanceTimersByTime(10_000);
    expect(client.connection.closed).toBeUndefined();
    vi.advanceTimersByTime(2_000);
    expect(client.connection.closed).toBe("auth_timeout");
  });

  it("a connection ends though it pings and sends garbage", async () => {
    const node = started({ authTimeoutMs: 10_000 });
    const client = node.anonymous();
    for (let i = 0; i < 12; i++) {
      client.send({ type: "ping" }, "garbage", { type: "subscribe", channel: "x" });
      vi.advanceTimersByTime(1_000);
    }
    expect(client.connection.closed).toBe("auth_timeout");
  });
});

describe("the end of the token", () => {
  it("ends the connection, in the seconds after it and not before", async () => {
    const node = started();
    const client = node.as("ann", ALL, ["x"]);
    vi.advanceTimersByTime(60_000);
    expect(client.connection.closed).toBeUndefined();
    vi.advanceTimersByTime(2_000);
    expect(client.connection.closed).toBe("token_expired");
    expect(node.hub.subscriptions).toBe(0);
  });

  it("ends the connection that authenticated by a frame just so", async () => {
    const client = started({ authTimeoutMs: 10_000 }).anonymous();
    await client.ask(auth("ann", ALL, { seconds: 30 }));
    vi.advanceTimersByTime(30_000);
    expect(client.connection.closed).toBeUndefined();
    vi.advanceTimersByTime(2_000);
    expect(client.connection.closed).toBe("token_expired");
  });

  it("is moved by a fresh token", async () => {
    const client = started().as("ann", ALL);
    vi.advanceTimersByTime(50_000);
    expect(await client.ask(auth("ann", ALL, { ref: 1 }))).toEqual([
      { type: "authenticated", ref: 1, user: "ann", expires_in: 60_000 },
    ]);
    vi.advanceTimersByTime(59_000);
    expect(client.connection.closed).toBeUndefined();
    vi.advanceTimersByTime(3_000);
    expect(client.connection.closed).toBe("token_expired");
  });
});

describe("a fresh token", () => {
  it("of another user is refused, and the connection stays whose it was", async () => {
    const node = new Node();
    const client = node.as("ann", { x: ["subscribe", "publish"] }, ["x"]);
    expect(await client.ask(auth("bob", ALL, { ref: 1 }))).toMatchObject([
      { type: "error", ref: 1, code: "user_mismatch" },
    ]);
    expect(await client.ask({ type: "publish", channel: "x", data: 1 })).toMatchObject([{ sender: "ann" }]);
    expect(await client.ask({ type: "subscribe", channel: "y" })).toMatchObject([{ code: "forbidden" }]);
  });

  it.each([
    ["expired", () => token("ann", ALL, -1), "token_expired"],
    [
      "not signed by us",
      () => tokenWith(claims({ exp: inSeconds(60) }), { key: OTHER_SECRET }),
      "token_invalid",
    ],
  ])("that is %s is an error, and the old one stays good", async (_what, make, code) => {
    const client = started().as("ann", ALL, ["x"]);
    const [error, ...others] = await client.ask(
      { type: "auth", token: make(), ref: 1 },
      { type: "publish", channel: "x", data: 1 },
    );
    expect(error).toMatchObject({ type: "error", code, ref: 1 });
    expect(others).toMatchObject([{ type: "message", data: 1 }]);
    vi.advanceTimersByTime(59_000);
    expect(client.connection.closed).toBeUndefined();
    vi.advanceTimersByTime(3_000);
    expect(client.connection.closed).toBe("token_expired");
  });

  it("that grants less ends the subscriptions that it no longer grants, and nothing of them follows", async () => {
    const node = new Node();
    const client = node.as("ann", ALL, ["a", "b", "public:c"]);
    await client.frames();
    const frames = await client.ask(auth("ann", { b: ["subscribe"] }));
    expect(frames).toMatchObject([
      { type: "authenticated" },
      { type: "unsubscribed", channel: "a", code: "forbidden" },
    ]);
    expect(frames[1]).not.toHaveProperty("ref");
    const other = node.as("bob", ALL);
    for (const channel of ["a", "b", "public:c"]) other.send({ type: "publish", channel, data: 1 });
    expect((await client.frames()).map(({ channel }) => channel)).toEqual(["b", "public:c"]);
    expect(await client.ask({ type: "publish", channel: "b", data: 1 })).toMatchObject([
      { code: "forbidden" },
    ]);
    expect(node.feed.standing).toEqual(new Set(["b", "public:c"]));
  });

  it("that grants more counts at once", async () => {
    const client = new Node().as("ann", {});
    expect(await client.ask(auth("ann", ALL), { type: "subscribe", channel: "x", ref: 1 })).toMatchObject([
      { type: "authenticated" },
      { type: "subscribed", channel: "x" },
    ]);
  });

  it("that no longer grants a subscribe under way answers it, and leaves nothing behind", async () => {
    const node = new Node({}, new FakeFeed(false));
    const client = node.as("ann", ALL);
    await client.frames();
    client.send({ type: "subscribe", channel: "x", ref: 1 }, auth("ann", {}));
    expect(await client.frames()).toMatchObject([{ type: "authenticated" }]);
    node.feed.resolve("x");
    expect(await client.frames(), "the command has an answer").toMatchObject([
      { type: "error", ref: 1, code: "forbidden" },
    ]);
    expect([node.hub.subscriptions, node.feed.standing.size]).toEqual([0, 0]);
  });
});

describe("channels in the URL", () => {
  it("are answered each, by subscribed or error, right behind welcome", async () => {
    const client = new Node().as("ann", { a: ["subscribe"] }, ["a", "no", "b ad", "public:x"]);
    const [, ...frames] = await client.frames();
    expect(frames.map(({ type, code, channel }) => `${type} ${code ?? channel}`).sort()).toEqual([
      "error bad_channel",
      "error forbidden",
      "subscribed a",
      "subscribed public:x",
    ]);
  });

  it("wait for auth, and are then answered once", async () => {
    const client = new Node().anonymous(["a", "b ad"]);
    expect(await client.frames()).toHaveLength(1);
    const frames = await client.ask(auth());
    expect(frames.map(({ type }) => type).sort()).toEqual(["authenticated", "error", "subscribed"]);
    expect(frames[0]?.type).toBe("authenticated");
    expect(await client.ask(auth())).toMatchObject([{ type: "authenticated" }]);
  });
});

/** With the timer for deadlines running. */
function started(options: ContextOptions = {}): Node {
  const node = new Node(options);
  node.deadlines.start();
  return node;
}

/** A client whose tokens are judged when the test says so. */
function slowAuth(): {
  client: Talker;
  verified: { accept(user: string): void; refuse(error: Error): void }[];
} {
  const verified: { accept(user: string): void; refuse(error: Error): void }[] = [];
  const verify = () =>
    new Promise<Identity>((resolve, reject) => {
      const grants = [{ pattern: "*", actions: ["subscribe", "publish"] as const }];
      verified.push({
        accept: (user) => resolve(identity({ user, grants })),
        refuse: reject,
      });
    });
  return { client: new Node({ verify }).anonymous(), verified };
}
