import { beforeAll, describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { channels } from "../src/config/kinds.ts";
import { type Frame, refusal } from "./support/client.ts";
import { scrape } from "./support/metrics.ts";
import { changes, close, get, members, tab, wait } from "./support/presence.ts";
import { type GatewayNode, type RedisServer, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

/* Who is there, as clients and backends see it: two nodes on a real Redis, but where it says otherwise. */

const env = { TIDEGATE_PRESENCE: "room-*,lobby" };

const shared = sharedStage();
let redis: RedisServer;
let node1: GatewayNode;
let node2: GatewayNode;

beforeAll(async () => {
  redis = await shared.redis();
  [node1, node2] = await Promise.all([
    shared.node({ id: "node1", redis, env }),
    shared.node({ id: "node2", redis, env }),
  ]);
});

describe.concurrent("one person", () => {
  test("with three tabs joins once and leaves once", async ({ stage }) => {
    const watcher = await tab(stage, node1, "watcher", "room-tabs");
    const tabs = await Promise.all([1, 2, 3].map(() => tab(stage, node1, "ann", "room-tabs")));
    await until("she is there", () => changes(watcher, "room-tabs").length > 0);
    await close(...tabs.slice(1));
    await wait(3_000);
    expect(await members(watcher, "room-tabs")).toEqual(["ann", "watcher"]);
    await close(...tabs);
    await until("she has left", () => changes(watcher, "room-tabs").length > 1);
    await wait(500);
    expect(changes(watcher, "room-tabs")).toEqual(["$join ann", "$leave ann"]);
    expect(await members(watcher, "room-tabs")).toEqual(["watcher"]);
  });

  test("on two nodes joins once and leaves once, and moves without a trace", async ({ stage }) => {
    const channel = "room-nodes";
    const watcher = await tab(stage, node2, "watcher", channel);
    const first = await tab(stage, node1, "ann", channel);
    await until("she is there", () => changes(watcher, channel).length === 1);
    const second = await tab(stage, node2, "ann", channel);
    await close(first);
    await wait(3_000);
    await close(second);
    await wait(1_000);
    const third = await tab(stage, node1, "ann", channel);
    await wait(3_000);
    expect(changes(watcher, channel)).toEqual(["$join ann"]);
    expect(await third.request({ type: "unsubscribe", channel })).toMatchObject({ type: "unsubscribed" });
    await until("she has left", () => changes(watcher, channel).length > 1);
    expect(changes(watcher, channel)).toEqual(["$join ann", "$leave ann"]);
  });

  test("who is cut off has the time to come back that he was told to take", async ({ stage }) => {
    const channel = "room-cut";
    const watcher = await tab(stage, node1, "watcher", channel);
    const client = await tab(stage, node1, "ann", channel);
    await until("she is there", () => changes(watcher, channel).length === 1);
    client.stop();
    await wait(4_000); // of up to 3,750 ms, and a moment to subscribe
    (await tab(stage, node2, "ann", channel)).stop();
    await wait(4_000);
    expect(changes(watcher, channel)).toEqual(["$join ann"]);
    await until("she has left", () => changes(watcher, channel).length > 1, 10_000);
    expect(changes(watcher, channel)).toEqual(["$join ann", "$leave ann"]);
  });

  test("who was away is told who came and went meanwhile, in order", async ({ stage }) => {
    const channel = "room-resume";
    const watcher = await stage.client(node1.webSocketUrl, { token: token({ sub: "watcher" }) });
    const { id } = await watcher.request({ type: "subscribe", channel });
    await close(watcher);
    const ann = await tab(stage, node2, "ann", channel);
    await ann.request({ type: "publish", channel, data: "hello" });
    await close(ann);
    await until("ann has left", async () => (await get(node2, `${channel}/presence`)).body.count === 0);
    await tab(stage, node2, "bob", channel);
    const again = await stage.client(node1.webSocketUrl, { token: token({ sub: "watcher" }) });
    const answer = await again.request({ type: "subscribe", channel, since: id });
    expect(answer).toMatchObject({ resumed: true });
    await until("all is there", () => changes(again, channel).includes("$join bob"));
    expect(changes(again, channel)).toEqual(["$join ann", "$leave ann", "$join bob"]);
    const offsets = again.events(channel).map((event) => Number(String(event.id).split(":")[1]));
    expect(offsets).toEqual(offsets.map((_, i) => (offsets[0] as number) + i));
  });

  test("shows the info of her token, and one that is too large is refused", async ({ stage }) => {
    const info = { name: "Ann", avatar: "https://example.com/a.png" };
    const watcher = await tab(stage, node1, "watcher", "room-info");
    await tab(stage, node2, "ann", "room-info", info);
    const join = await watcher.next(
      (frame) => frame.type === "$join" && (frame.data as Frame).user === "ann",
    );
    expect(join).toMatchObject({
      channel: "room-info",
      id: expect.any(String),
      timestamp: expect.any(String),
    });
    expect(join.data).toEqual({ user: "ann", info });
    const answer = await watcher.request({ type: "presence", channel: "room-info" });
    expect(answer).toEqual({
      type: "presence",
      ref: expect.any(String),
      channel: "room-info",
      count: 2,
      members: [{ user: "ann", info }, { user: "watcher" }],
    });
    const most = token({ sub: "bob", claims: { info: "x".repeat(510) } });
    await stage.client(node1.webSocketUrl, { token: most });
    const over = token({ sub: "bob", claims: { info: "x".repeat(511) } });
    expect((await refusal(node1.webSocketUrl, { token: over })).body).toContain("token_invalid");
  });
});

describe.concurrent("who is there", () => {
  test("is answered in pages, by frame and by HTTP", async ({ stage }) => {
    const users = Array.from({ length: 25 }, (_, i) => `user-${String(i).padStart(2, "0")}`);
    for (const [i, user] of users.entries()) await tab(stage, i % 2 ? node1 : node2, user, "room-pages");
    const client = await stage.client(node1.webSocketUrl, { token: token({ sub: "nobody" }) });
    await until("all are there", async () => (await members(client, "room-pages")).length === 25);
    const pages: { byFrame: Frame; byHttp: Frame }[] = [];
    for (let after: string | undefined; ; after = pages.at(-1)?.byFrame.next as string) {
      const byFrame = await client.request({ type: "presence", channel: "room-pages", limit: 10, after });
      const query = `limit=10${after === undefined ? "" : `&after=${encodeURIComponent(after)}`}`;
      const byHttp = await get(node2, `room-pages/presence?${query}`);
      expect(byHttp.status).toBe(200);
      pages.push({ byFrame, byHttp: byHttp.body });
      if (byFrame.next === undefined) break;
    }
    for (const {
      byFrame: { type: _type, ref: _ref, ...rest },
      byHttp,
    } of pages)
      expect(byHttp).toEqual(rest);
    expect(pages.map(({ byHttp }) => byHttp.count)).toEqual([25, 25, 25]);
    expect(pages.map(({ byHttp }) => byHttp.next)).toEqual(["user-09", "user-19", undefined]);
    expect(pages.flatMap(({ byHttp }) => byHttp.members)).toEqual(users.map((user) => ({ user })));
    expect((await get(node1, "room-nobody/presence")).body).toEqual({
      channel: "room-nobody",
      count: 0,
      members: [],
    });
  });

  test("is not told without the grant, in a channel without presence, or in another form", async ({
    stage,
  }) => {
    const client = await stage.client(node1.webSocketUrl, {
      token: token({ channels: { "*": ["subscribe"], "room-mine": ["presence"], plain: ["presence"] } }),
    });
    const ask = (more: object) => client.request({ type: "presence", ...more });
    expect(await ask({ channel: "room-mine" })).toMatchObject({ type: "presence", count: 0 });
    expect(await ask({ channel: "room-other" })).toMatchObject({ code: "forbidden", channel: "room-other" });
    expect(await ask({ channel: "plain" })).toMatchObject({ code: "not_supported", channel: "plain" });
    expect(await ask({ channel: "a b" })).toMatchObject({ code: "bad_channel" });
    for (const limit of [0, 1_001, 1.5, "10", -1, null])
      expect(await ask({ channel: "room-mine", limit })).toMatchObject({
        code: "bad_limit",
        channel: "room-mine",
      });
    for (const after of ["", "x".repeat(257), 5, null])
      expect(await ask({ channel: "room-mine", after })).toMatchObject({
        code: "bad_frame",
        channel: "room-mine",
      });

    const mine = token({ channels: { "room-mine": ["presence"], plain: ["presence"] } });
    const outcome = async (path: string) => {
      const { status, body } = await get(node1, path, mine);
      return [status, body.code];
    };
    expect(await outcome("room-mine/presence")).toEqual([200, undefined]);
    expect(await outcome("room-other/presence")).toEqual([403, "forbidden"]);
    expect(await outcome("plain/presence")).toEqual([501, "not_supported"]);
    expect(await outcome("a%20b/presence")).toEqual([400, "bad_channel"]);
    for (const limit of ["0", "1001", "ten", "1.5", ""])
      expect(await outcome(`room-mine/presence?limit=${limit}`)).toEqual([400, "bad_limit"]);
    expect(await outcome("room-mine/presence?after=")).toEqual([400, "bad_frame"]);
    expect((await fetch(`${node1.url}/v1/channels/room-mine/presence`)).status).toBe(401);
  });

  test("costs other channels nothing: no event, no key in Redis", async ({ stage }) => {
    const one = await tab(stage, node1, "ann", "plain-1");
    await tab(stage, node2, "bob", "plain-1");
    await one.request({ type: "publish", channel: "plain-1", data: 1 });
    expect(one.events("plain-1").filter(({ type }) => type.startsWith("$"))).toEqual([]);
    expect(await redis.cli("EXISTS", "tidegate.members:{tidegate:plain-1}")).toBe("0");
  });

  test("is a feature where a channel has it, and where none has, nothing is known of it", async ({
    stage,
  }) => {
    const without = await stage.node({ id: "without" });
    const features = async (node: GatewayNode) => {
      const client = await stage.client(node.webSocketUrl, { token: token() });
      return { client, features: client.frames[0]?.features };
    };
    expect((await features(node1)).features).toContain("presence");
    const plain = await features(without);
    expect(plain.features).not.toContain("presence");
    const refused = { type: "error", code: "not_supported", channel: "room-1" };
    expect(await plain.client.request({ type: "presence", channel: "room-1" })).toMatchObject(refused);
    expect((await get(without, "room-1/presence")).status).toBe(501);
  });

  test("is known on a node alone too, and counted", async ({ stage }) => {
    const alone = await stage.node({ id: "alone", env });
    const watcher = await tab(stage, alone, "watcher", "lobby");
    const tabs = await Promise.all([1, 2, 3].map(() => tab(stage, alone, "ann", "lobby", { name: "Ann" })));
    await until("she is there", () => changes(watcher, "lobby").length === 1);
    expect((await get(alone, "lobby/presence")).body).toMatchObject({
      count: 2,
      members: [{ user: "ann", info: { name: "Ann" } }, { user: "watcher" }],
    });
    await close(...tabs);
    await until("she has left", () => changes(watcher, "lobby").length === 2);
    expect(changes(watcher, "lobby")).toEqual(["$join ann", "$leave ann"]);
    const metrics = await scrape(alone);
    expect(metrics.get("tidegate_presence_members")).toBe(1);
    expect(metrics.get('tidegate_presence_changes_total{change="join"}')).toBe(2);
    expect(metrics.get('tidegate_presence_changes_total{change="leave"}')).toBe(1);
  });
});

test("the option is a list of channel patterns", () => {
  expect(channels.read("room-*, lobby\n*")).toEqual(["room-*", "lobby", "*"]);
  expect(channels.read("")).toEqual([]);
  for (const wrong of ["a*b", "**", "room-*,-x", "ä"])
    expect(() => channels.read(wrong)).toThrow(/not a channel pattern/);
});
