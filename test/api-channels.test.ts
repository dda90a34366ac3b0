import { beforeAll, describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { type GatewayNode, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

const stage = sharedStage();
const ADMIN = { claims: { admin: ["channels"] } };

interface List {
  channels: { channel: string; subscribers: number }[];
  next?: string;
}

async function ask(
  node: GatewayNode,
  path: string,
  method = "GET",
  options: object = ADMIN,
): Promise<Response> {
  return await fetch(`${node.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token(options)}` },
  });
}

async function list(node: GatewayNode, query = ""): Promise<List> {
  return (await (await ask(node, `/v1/channels${query}`)).json()) as List;
}

/** As one line. */
const inShort = ({ channels, next }: List) =>
  [
    ...channels.map(({ channel, subscribers }) => `${channel} ${subscribers}`),
    ...(next ? [`→ ${next}`] : []),
  ].join(", ");

describe.each(["memory", "redis"])("the list of channels, on %s", (kind) => {
  let one: GatewayNode;
  let other: GatewayNode;

  beforeAll(async () => {
    const redis = kind === "redis" ? await stage.redis() : undefined;
    one = await stage.node(redis ? { redis, id: "node1" } : {});
    other = redis ? await stage.node({ redis, id: "node2" }) : one;
  });

  test("has those that somebody is subscribed to, over all nodes, by name and by pages", async ({
    stage,
  }) => {
    await stage.client(one.webSocketUrl, { token: token(), channels: ["chat-1", "chat-2", "a"] });
    await stage.client(other.webSocketUrl, { token: token(), channels: ["chat-1", "z"] });
    const leaver = await stage.client(other.webSocketUrl, { token: token(), channels: ["chat-3"] });
    await until(
      "all are counted",
      async () => inShort(await list(one)) === "a 1, chat-1 2, chat-2 1, chat-3 1, z 1",
      10_000,
    );
    expect(await list(other)).toEqual(await list(one));
    expect(inShort(await list(one, "?limit=2"))).toBe("a 1, chat-1 2, → chat-1");
    expect(inShort(await list(one, "?limit=2&after=chat-1"))).toBe("chat-2 1, chat-3 1, → chat-3");
    expect(inShort(await list(one, "?limit=2&after=chat-3"))).toBe("z 1");
    expect(inShort(await list(one, "?prefix=chat-"))).toBe("chat-1 2, chat-2 1, chat-3 1");
    expect(inShort(await list(one, "?prefix=chat-&limit=1&after=chat-1"))).toBe("chat-2 1, → chat-2");
    expect(inShort(await list(one, "?prefix=chat-&after=a"))).toBe("chat-1 2, chat-2 1, chat-3 1");
    expect(inShort(await list(one, "?prefix=none"))).toBe("");
    leaver.stop();
    await until("it is gone", async () => inShort(await list(one, "?prefix=chat-3")) === "", 10_000);
  });

  test("needs the claim, and has bounds", async () => {
    const codeOf = async (answer: Response) => [
      answer.status,
      ((await answer.json()) as { code: string }).code,
    ];
    expect(await codeOf(await ask(one, "/v1/channels", "GET", {}))).toEqual([403, "forbidden"]);
    for (const limit of ["0", "-1", "1001", "1e9", "x"])
      expect(await codeOf(await ask(one, `/v1/channels?limit=${limit}`))).toEqual([400, "bad_limit"]);
    for (const query of ["prefix=a*", "after=%20", "prefix=%ff", "after="])
      expect(await codeOf(await ask(one, `/v1/channels?${query}`))).toEqual([400, "bad_channel"]);
  });

  test("deletes a history: subscribers and who resumes are told, and it goes on anew", async ({ stage }) => {
    const channel = "chat-forget";
    const away = await stage.client(other.webSocketUrl, { token: token(), channels: [channel] });
    const { id: before } = await away.next("subscribed");
    const client = await stage.client(other.webSocketUrl, { token: token(), channels: [channel] });
    await client.next("subscribed");
    const publisher = await stage.client(one.webSocketUrl, { token: token() });
    await publisher.request({ type: "publish", channel, data: 1 });
    await client.next("message");
    const answer = await ask(one, `/v1/channels/${channel}/events`, "DELETE");
    expect(answer.status).toBe(200);
    const { id } = (await answer.json()) as { id: string };
    expect(await client.next("subscribed")).toEqual({
      type: "subscribed",
      channel,
      id,
      resumed: false,
      reason: "history_lost",
    });
    await publisher.request({ type: "publish", channel, data: 2 });
    expect(await client.next("message")).toMatchObject({ data: 2, id: expect.stringMatching(/:1$/) });
    const late = await stage.client(one.webSocketUrl, { token: token() });
    expect(await late.request({ type: "subscribe", channel, since: before })).toMatchObject({
      resumed: false,
    });
    const history = await ask(one, `/v1/channels/${channel}/events`);
    expect(
      ((await history.json()) as { events: { data: unknown }[] }).events.map(({ data }) => data),
    ).toEqual([2]);
    expect((await ask(one, `/v1/channels/${channel}/events`, "DELETE", {})).status).toBe(403);
  });
});

test("a node that dies takes its counts with it", async ({ stage }) => {
  const redis = await stage.redis();
  const [one, other] = await Promise.all([
    stage.node({ redis, id: "node1" }),
    stage.node({ redis, id: "node2" }),
  ]);
  await stage.client(one.webSocketUrl, { token: token(), channels: ["both", "mine"] });
  await stage.client(other.webSocketUrl, { token: token(), channels: ["both"] });
  await until("all are counted", async () => inShort(await list(one)) === "both 2, mine 1", 10_000);
  one.kill("SIGKILL");
  await until("its own are gone", async () => inShort(await list(other)) === "both 1", 25_000);
}, 40_000);

test("what Redis forgot is counted anew", async ({ stage }) => {
  const redis = await stage.redis();
  const node = await stage.node({ redis });
  await stage.client(node.webSocketUrl, { token: token(), channels: ["here"] });
  await until("it is counted", async () => inShort(await list(node)) === "here 1", 10_000);
  await redis.cli("FLUSHALL");
  await until("it is counted again", async () => inShort(await list(node)) === "here 1", 15_000);
}, 40_000);
