import { beforeAll, describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { parseCursor } from "../src/protocol/cursor.ts";
import { EventStream, manyUrl, streamUrl } from "./support/event-stream.ts";
import { type GatewayNode, type RedisServer, type Stage, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

/* Event streams: what comes, and how a client goes on from where it was. */

const stage = sharedStage();
let redis: RedisServer;
const nodes = new Map<string, GatewayNode>();
const HISTORY = '{"*":{"size":2000,"time":"10m"},"few-*":{"size":5,"time":"10m"},"none-*":"off"}';
const env = { TIDEGATE_HISTORY: HISTORY };
const me = { token: token() };

beforeAll(async () => {
  redis = await stage.redis();
  nodes.set("memory", await stage.node({ env }));
  nodes.set("redis", await stage.node({ redis, env }));
});

let names = 0;
const fresh = (prefix = "sse") => `${prefix}-${++names}`;

async function open(stage: Stage, url: string, lastEventId?: string): Promise<EventStream> {
  return stage.add(await EventStream.open(url, { ...me, lastEventId }));
}

/** @returns the event's id */
async function publish(node: GatewayNode, channel: string, data: unknown, type?: string): Promise<string> {
  const response = await fetch(`${node.url}/v1/channels/${channel}/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${me.token}`, "content-type": "application/json" },
    body: JSON.stringify({ ...(type !== undefined && { type }), data }),
  });
  const answer = (await response.json()) as { id: string };
  expect(response.status, JSON.stringify(answer)).toBe(201);
  return answer.id;
}

async function publishAll(node: GatewayNode, channel: string, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) await publish(node, channel, n);
}

const count = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** The data of a stream of many channels, by channel. */
function byChannel(stream: EventStream): Record<string, unknown[]> {
  const found: Record<string, unknown[]> = {};
  for (const one of stream.data as { channel: string; data: unknown }[]) {
    found[one.channel] ??= [];
    found[one.channel]?.push(one.data);
  }
  return found;
}

describe.concurrent.each(["memory", "redis"])("event streams over %s", (backplane) => {
  const node = () => nodes.get(backplane) as GatewayNode;

  test("the stream of a channel: the beginning, then type, id and data of each event", async ({ stage }) => {
    const channel = fresh();
    const stream = await open(stage, streamUrl(node().url, channel));
    const response = await stream.opened;
    expect(response.statusCode).toBe(200);
    expect(response.headers).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
    });
    const [first] = stream.blocks;
    expect(first).toEqual({
      retry: expect.any(Number),
      id: expect.stringMatching(/:0$/),
      comments: [],
      unknown: [],
    });
    const data = { text: "Hello\r\n\n\rid: 7\n\nevent: x", n: 1 };
    const id = await publish(node(), channel, data, "chat");
    const block = await stream.next("chat");
    expect(block.id).toBe(id);
    expect(JSON.parse(block.data ?? "")).toEqual(data);
    expect(block.unknown).toEqual([]);
  });

  test("a stream of many channels: whole events, and a cursor that is the place in all of them", async ({
    stage,
  }) => {
    const [a, b] = [fresh(), fresh()];
    const stream = await open(stage, streamUrl(node().url, a, b));
    expect(parseCursor(stream.lastId ?? "", [a, b])).toMatchObject([{ offset: 0 }, { offset: 0 }]);
    const id = await publish(node(), b, { n: 1 }, "chat");
    const block = await stream.next("chat");
    expect(JSON.parse(block.data ?? "")).toMatchObject({ type: "chat", channel: b, id, data: { n: 1 } });
    expect(parseCursor(block.id ?? "", [a, b])).toMatchObject([{ offset: 0 }, { offset: 1 }]);
    expect(block.id).toHaveLength(6 + 2 * 8);
  });

  test("a channel goes on behind Last-Event-ID, or ?last_event_id=, each event once", async ({ stage }) => {
    const channel = fresh();
    const url = streamUrl(node().url, channel);
    const first = await open(stage, url);
    await publishAll(node(), channel, 1, 5);
    await until("all are there", () => first.data.length === 5);
    first.stop();
    await publishAll(node(), channel, 6, 300);
    const byHeader = await open(stage, url, first.lastId);
    const byQuery = await open(stage, `${url}?last_event_id=${first.lastId}`);
    const fromFirst = await open(stage, url, first.blocks[0]?.id);
    await publishAll(node(), channel, 301, 303);
    for (const [stream, from] of [
      [byHeader, 6],
      [byQuery, 6],
      [fromFirst, 1],
    ] as const) {
      await until("the last is there", () => stream.data.at(-1) === 303);
      expect(stream.data).toEqual(count(from, 303));
    }
  });

  test("a client that wants other channels goes on in those that it had", async ({ stage }) => {
    const [a, b, c] = [fresh(), fresh(), fresh()];
    const its = await open(stage, manyUrl(node().url, a, b));
    await publish(node(), a, 1);
    await publish(node(), b, 2);
    await until("both are there", () => its.data.length === 2);
    const { lastId = "" } = its;
    its.stop();
    await Promise.all([publish(node(), a, 3), publish(node(), b, 4), publish(node(), c, 5)]);
    const query = new URLSearchParams({ last_event_id: lastId });
    for (const previous of [a, b]) query.append("previous_channel", previous);
    const url = `${manyUrl(node().url, c, b)}&${query}`;
    const next = await open(stage, url);
    await publish(node(), c, 6);
    await until("two are there", () => next.data.length === 2);
    expect(byChannel(next)).toEqual({ [b]: [4], [c]: [6] });
    // The header is a browser's that comes back to this very stream.
    const back = await open(stage, url, next.lastId);
    await publish(node(), b, 7);
    await until("it is there", () => back.data.length === 1);
    expect(byChannel(back)).toEqual({ [b]: [7] });
  });

  test("a place in many channels is gone on from without a loss or a repetition, again and again", async ({
    stage,
  }) => {
    const channels = [fresh(), fresh(), fresh(), fresh("none")];
    const [a = "", b = "", c = "", none = ""] = channels;
    const url = streamUrl(node().url, ...channels);
    let stream = await open(stage, url);
    const found: unknown[] = [];
    let n = 0;
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 4; i++) await Promise.all([publish(node(), a, ++n), publish(node(), b, ++n)]);
      await until("something is there", () => stream.data.length > 0);
      const { lastId } = stream;
      stream.stop();
      // The blocks up to that id are what the client has.
      const upTo = stream.blocks.findIndex(({ id }) => id === lastId);
      const had = new Set(stream.blocks.slice(0, upTo + 1));
      found.push(...stream.events.filter((block) => had.has(block)).map(({ data }) => data));
      await Promise.all([publish(node(), a, ++n), publish(node(), c, ++n), publish(node(), none, 0)]);
      stream = await open(stage, url, lastId);
    }
    await publish(node(), c, ++n);
    await until("the last is there", () =>
      (stream.data as { data: number }[]).some(({ data }) => data === n),
    );
    found.push(...stream.events.map(({ data }) => data));
    const all = found.map(
      (text) => JSON.parse(String(text)) as { channel: string; id: string; data: number },
    );
    expect(all.map(({ data }) => data).sort((x, y) => x - y)).toEqual(count(1, n));
    for (const channel of [a, b, c]) {
      const offsets = all.filter((one) => one.channel === channel).map(({ id }) => Number(id.split(":")[1]));
      expect(offsets).toEqual(count(1, offsets.length));
    }
  });

  test("much that was missed comes at once, and not in ten-second steps", async ({ stage }) => {
    const channel = fresh();
    const url = streamUrl(node().url, channel);
    const first = await open(stage, url);
    const pad = "x".repeat(5_000);
    await Promise.all(count(1, 600).map((n) => publish(node(), channel, { n, pad })));
    first.stop();
    const start = performance.now();
    const stream = await open(stage, url, first.blocks[0]?.id);
    await until("all is there", () => stream.data.length === 600, 9_000);
    expect(performance.now() - start).toBeLessThan(9_000);
  });

  test("what comes while a stream is being opened is in it", async ({ stage }) => {
    const busy = fresh();
    await open(stage, streamUrl(node().url, busy)); // so that the node listens already
    let n = 0;
    let isOver = false;
    const publishing = (async () => {
      while (!isOver) await publish(node(), busy, ++n);
    })();
    const streams: EventStream[] = [];
    for (let i = 0; i < 30; i++)
      streams.push(await open(stage, streamUrl(node().url, busy, ...count(1, 20).map(() => fresh("new")))));
    isOver = true;
    await publishing;
    for (const stream of streams) {
      const [mark] = parseCursor(stream.blocks[0]?.id ?? "", channelsOf(stream)) ?? [];
      await until(
        "the last is there",
        () => (stream.data as { data: number }[]).at(-1)?.data === n || mark?.offset === n,
      );
      expect(byChannel(stream)[busy] ?? []).toEqual(count((mark?.offset ?? 0) + 1, n));
    }
  });

  test("?last= gives so many of the last events", async ({ stage }) => {
    const [a, b] = [fresh(), fresh()];
    await publishAll(node(), a, 1, 10);
    await publish(node(), b, "b");
    const one = await open(stage, `${streamUrl(node().url, a)}?last=3`);
    const many = await open(stage, `${streamUrl(node().url, a, b)}&last=3`);
    await until("they are there", () => one.data.length === 3 && many.data.length === 4);
    expect(one.data).toEqual([8, 9, 10]);
    expect(byChannel(many)).toEqual({ [a]: [8, 9, 10], [b]: ["b"] });
  });

  test("a client is told when what it missed is gone, was another's, or is not kept", async ({ stage }) => {
    const few = fresh("few");
    const none = fresh("none");
    const url = streamUrl(node().url, few);
    const first = await open(stage, url);
    const many = await open(stage, manyUrl(node().url, few, none));
    first.stop();
    many.stop();
    await publishAll(node(), few, 1, 20);
    const cases: [string, string | undefined, string][] = [
      [url, first.lastId, "trimmed"],
      [manyUrl(node().url, few, none), many.lastId, "trimmed"],
      [url, `${first.lastId?.replace(/-.*/, "")}-ffffffff:20`, "forked"],
      [url, "of another time-00000000:3", "history_lost"],
      [streamUrl(node().url, none), first.lastId, "no_history"],
    ];
    for (const [target, lastId, reason] of cases) {
      const stream = await open(stage, target, lastId);
      // The id is that of the client until it is told: cut off in between, it would be told the next time.
      expect(stream.blocks[0]?.id).toBe(lastId);
      const told = await stream.next("$lost");
      const kept = reason !== "no_history";
      expect(JSON.parse(told.data ?? "")).toEqual({
        channel: kept ? few : none,
        ...(kept && { id: expect.stringMatching(/:2\d$/) }),
        reason,
      });
      await publish(node(), kept ? few : none, "after");
      const after = await stream.next("message");
      expect(after.data).toContain("after");
      stream.stop();
      if (!kept) continue;
      const again = await open(stage, target, told.id);
      await until("the event behind it", () => again.data.length > 0);
      expect(again.events.map(({ event }) => event)).not.toContain("$lost");
      again.stop();
    }
  });

  test("binary payloads are base64, in both kinds of stream", async ({ stage }) => {
    const channel = fresh();
    const one = await open(stage, streamUrl(node().url, channel));
    const many = await open(stage, manyUrl(node().url, channel));
    const client = await stage.client(node().webSocketUrl, { ...me, protocols: ["tidegate.v1.binary"] });
    const json = Buffer.from(JSON.stringify({ type: "publish", channel, event: { type: "blob" } }));
    const length = Buffer.alloc(2);
    length.writeUInt16BE(json.length);
    client.send(Buffer.concat([length, json, Buffer.from([0, 255, 10, 13])]));
    expect((await one.next("blob")).data).toBe('{"data_base64":"AP8KDQ=="}');
    expect(JSON.parse((await many.next("blob")).data ?? "")).toMatchObject({
      channel,
      data_base64: "AP8KDQ==",
    });
  });
});

/** The channels that it asked for. */
function channelsOf(stream: EventStream): string[] {
  return new URL(stream.url).searchParams.getAll("channel");
}

describe.concurrent("event streams and Redis", () => {
  const node = () => nodes.get("redis") as GatewayNode;

  test("what comes by plain PUBLISH has no id, and moves nothing", async ({ stage }) => {
    const channel = fresh();
    const one = await open(stage, streamUrl(node().url, channel));
    const many = await open(stage, manyUrl(node().url, channel));
    await redis.cli("PUBLISH", `tidegate:${channel}`, '{\r\n"a":\n1}');
    const block = await one.next("message");
    expect([block.id, JSON.parse(block.data ?? "")]).toEqual([undefined, { a: 1 }]);
    expect((await many.next("message")).id).toBe(many.blocks[0]?.id);
    const id = await publish(node(), channel, 1);
    expect((await one.next("message")).id).toBe(id);
  });

  test("a client that was on another node goes on here", async ({ stage }) => {
    const other = await stage.node({ redis, id: "other", env });
    const [a, b] = [fresh(), fresh()];
    const first = await open(stage, streamUrl(other.url, a, b));
    await publish(node(), a, 1);
    await until("it is there", () => first.data.length === 1);
    other.kill();
    await first.ended;
    await publish(node(), b, 2);
    await publish(node(), a, 3);
    const next = await open(stage, streamUrl(node().url, a, b), first.lastId);
    await until("both are there", () => next.data.length === 2);
    expect(byChannel(next)).toEqual({ [a]: [3], [b]: [2] });
  });

  test("a live stream is told when Redis has lost everything, and goes on", async ({ stage }) => {
    const alone = await stage.redis();
    const its = await stage.node({ redis: alone, env });
    const [a, b] = [fresh(), fresh()];
    const stream = await open(stage, streamUrl(its.url, a, b));
    await publish(its, a, 1);
    await publish(its, b, 1);
    await alone.cli("FLUSHALL");
    await publish(its, a, 2);
    const told = await stream.next("$lost", 10_000);
    expect(JSON.parse(told.data ?? "")).toMatchObject({
      channel: a,
      reason: expect.stringMatching(/lost|forked/),
    });
    await until("it goes on", () => byChannel(stream)[a]?.at(-1) === 2 || stream.lastId !== told.id);
    const next = await open(stage, streamUrl(its.url, a, b), stream.lastId);
    await publish(its, a, 3);
    await until("from there as well", () => byChannel(next)[a]?.at(-1) === 3);
  });
});
