import { beforeAll, describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { EventStream, streamUrl } from "./support/event-stream.ts";
import { type GatewayNode, type Stage, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

/* An event that one connection is not to hear: `except` over HTTP is what `echo` is in a frame. */

const stage = sharedStage();
const nodes = new Map<string, [GatewayNode, GatewayNode]>();
const env = { TIDEGATE_HISTORY: '{"*":{"size":100,"time":"10m"},"none-*":"off"}' };
const me = { token: token() };

beforeAll(async () => {
  const redis = await stage.redis();
  const [first, second, alone] = await Promise.all([
    stage.node({ redis, env }),
    stage.node({ redis, env }),
    stage.node({ env }),
  ]);
  nodes.set("redis", [first, second]);
  nodes.set("memory", [alone, alone]);
});

let names = 0;
const fresh = (prefix = "except") => `${prefix}-${++names}`;

async function post(
  { url }: GatewayNode,
  path: string,
  body: object,
): Promise<{ status: number; answer: unknown }> {
  const headers = { authorization: `Bearer ${me.token}`, "content-type": "application/json" };
  const response = await fetch(`${url}/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  return { status: response.status, answer: await response.json() };
}

async function open(stage: Stage, url: string, lastEventId?: string) {
  const stream = stage.add(await EventStream.open(url, { ...me, lastEventId }));
  return { stream, ...(await stream.welcome()) };
}

const wholeData = (stream: EventStream) => (stream.data as { data: unknown }[]).map(({ data }) => data);

describe.concurrent.each(["memory", "redis"])("`except` over %s", (backplane) => {
  const both = () => nodes.get(backplane) as [GatewayNode, GatewayNode];

  test("keeps an event from the stream that it names, and from no other", async ({ stage }) => {
    const [near, far] = both();
    const channel = fresh();
    const [own, other] = await Promise.all([
      open(stage, streamUrl(near.url, channel)),
      open(stage, streamUrl(far.url, channel)),
    ]);
    expect(own).toMatchObject({ node: expect.any(String), user: "user-1", heartbeat: 30_000 });
    expect(own.connection).not.toBe(other.connection);
    const { status, answer } = await post(far, `channels/${channel}/events`, {
      data: 1,
      except: own.connection,
    });
    expect(status).toBe(201);
    await post(far, "batch", {
      events: [
        { channel, data: 2, except: own.connection },
        { channel, data: 3 },
      ],
    });
    await until("the last is there", () => own.stream.data.includes(3) && other.stream.data.includes(3));
    expect([own.stream.data, other.stream.data]).toEqual([[3], [1, 2, 3]]);
    // It has moved on all the same.
    expect(own.stream.blocks.map(({ id }) => id)).toContain((answer as { id: string }).id);
  });

  test("does not come to that client either when it comes back", async ({ stage }) => {
    const [near] = both();
    for (const channels of [[fresh()], [fresh(), fresh()]]) {
      const url = streamUrl(near.url, ...channels);
      const [channel = ""] = channels;
      const { stream, connection } = await open(stage, url);
      const before = stream.lastId;
      await post(near, `channels/${channel}/events`, { data: "mine", except: connection });
      await until("it has moved on", () => stream.lastId !== before);
      const { lastId } = stream;
      stream.stop();
      await post(near, `channels/${channel}/events`, { data: "next" });
      const again = await open(stage, url, lastId);
      await again.stream.next("message");
      expect(channels.length > 1 ? wholeData(again.stream) : again.stream.data).toEqual(["next"]);
    }
  });

  test("of a channel that keeps nothing", async ({ stage }) => {
    const [near, far] = both();
    const channel = fresh("none");
    const { stream, connection } = await open(stage, streamUrl(near.url, channel));
    await post(far, `channels/${channel}/events`, { data: 1, except: connection });
    await post(far, `channels/${channel}/events`, { data: 2 });
    await stream.next("message");
    expect(stream.data).toEqual([2]);
  });

  test("keeps an event from a WebSocket too, and `echo` one from its own", async ({ stage }) => {
    const [near, far] = both();
    const channel = fresh();
    const socket = await stage.client(near.webSocketUrl, { ...me, channels: [channel] });
    await socket.next("subscribed");
    const connection = socket.frames[0]?.connection;
    const { stream } = await open(stage, streamUrl(far.url, channel));
    await post(far, `channels/${channel}/events`, { data: 1, except: connection });
    socket.send({ type: "publish", channel, data: 2, echo: false });
    await until("the stream has both", () => stream.data.length === 2);
    await post(far, `channels/${channel}/events`, { data: 3 });
    expect((await socket.next("message")).data).toBe(3);
  });
});

test.for([1, "", "two words", "x".repeat(33), { connection: "x" }])("is no %j", async (except) => {
  const [node] = nodes.get("memory") as [GatewayNode, GatewayNode];
  const refusal = { status: 400, code: "bad_event", detail: expect.stringContaining("`except` is the name") };
  const one = await post(node, "channels/a/events", { data: 1, except });
  expect(one).toMatchObject({ status: 400, answer: refusal });
  const many = await post(node, "batch", { events: [{ channel: "a", data: 1, except }] });
  expect(many).toMatchObject({ status: 207, answer: { results: [{ ...refusal, channel: "a" }] } });
});
