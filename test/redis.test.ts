import { beforeAll, describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import type { Client } from "./support/client.ts";
import { metric } from "./support/metrics.ts";
import { run } from "./support/run.ts";
import { type GatewayNode, logged, type RedisServer, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

const stage = sharedStage();
let redis: RedisServer;
let node: GatewayNode;
let client: Client;

beforeAll(async () => {
  redis = await stage.redis();
  node = await stage.node({ redis, env: { TIDEGATE_MAX_QUEUED_BYTES: "16MiB" } });
  client = await stage.client(node.webSocketUrl, { token: token(), channels: ["chat"] });
  await client.next("subscribed");
});

/** By `redis-cli`, which takes any bytes on its standard input. */
async function publish(channel: string, payload: string | Buffer): Promise<number> {
  const { stdout } = await run("redis-cli", ["-p", String(redis.port), "-x", "PUBLISH", channel], {
    input: payload,
  });
  return Number(stdout);
}

/** The frame of the next event as it came, its clock's time replaced by T. */
async function nextEvent(): Promise<string> {
  await client.next((frame) => frame.timestamp !== undefined);
  return (client.texts.at(-1) as string).replace(
    /"timestamp":"\d{4}-\d\d-\d\dT[\d:.]{12}Z"/,
    '"timestamp":T',
  );
}

const message = (data: string) => `{"type":"message","channel":"chat","timestamp":T,"data":${data}}`;
const binary = (payload: Buffer) =>
  `{"type":"message","channel":"chat","timestamp":T,"data_base64":"${payload.toString("base64")}"}`;

/** What is JSON, and no event, is the data exactly as it stands. */
const verbatim = [
  '{"text":"hi"}',
  '{ "spaced" : [ 1 , 2 ] }\n',
  "[1,[2,{}]]",
  "42",
  "-0",
  "12345678901234567890",
  "1e999",
  "1.0",
  '"a string"',
  '"\\ud800 \\u0000"',
  '"\u2028\u2029\u007f"',
  "null",
  "false",
  '{"a":1,"a":2}',
  '{"__proto__":{"admin":true}}',
  "[".repeat(30_000) + "]".repeat(30_000),
  // events but for one thing
  '{"type":"order"}',
  '{"data":1}',
  '{"type":"welcome","data":1}',
  '{"type":"subscribed","data":{"channel":"chat"}}',
  '{"type":"closing","data":1}',
  '{"type":"$join","data":1}',
  '{"type":"","data":1}',
  '{"type":"1st","data":1}',
  '{"type":"or der","data":1}',
  '{"type":"order\\"","data":1}',
  `{"type":"${"t".repeat(65)}","data":1}`,
  '{"type":7,"data":1}',
  '{"type":["order"],"data":1}',
  '{"type":"order","data":1,"channel":"other"}',
  '{"type":"order","data":1,"sender":"ann"}',
  '{"type":"order","data":1,"timestamp":"yesterday"}',
  '{"type":"order","data":1,"timestamp":1772980200}',
  '{"type":"order","data":1,"__proto__":1}',
];

const asString = [
  "hi",
  "",
  " ",
  "NaN",
  "Infinity",
  "0x1F",
  "007",
  "{'a':1}",
  '{"a":1',
  '{"a":1}}',
  '{"a":1,}',
  '{"a":NaN}',
  '{"a":"line\nbreak"}',
  '\ufeff{"a":1}',
  "\u0000\u001b[31m",
  "Grüße, 世界 👋",
];

const notUtf8 = {
  "Latin-1": Buffer.from('{"name":"Jürgen"}', "latin1"),
  "a byte of UTF-16": Buffer.from([0xff, 0xfe, 0x41, 0x00]),
  "a surrogate in UTF-8": Buffer.from([0xed, 0xa0, 0x80]),
  "an overlong slash": Buffer.from([0xc0, 0xaf]),
  "a cut character": Buffer.from("世界").subarray(0, 5),
  zlib: Buffer.from([0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01]),
};

describe("a plain PUBLISH", () => {
  test.for(verbatim)("delivers JSON that is no event as it stands: %.40s", async (payload) => {
    expect(await publish("tidegate:chat", payload)).toBe(1);
    expect(await nextEvent()).toBe(message(payload));
  });

  test.for(asString)("delivers text that is not JSON as a string: %j", async (payload) => {
    await publish("tidegate:chat", payload);
    expect(await nextEvent()).toBe(message(JSON.stringify(payload)));
  });

  test.for(Object.entries(notUtf8))("delivers what is not UTF-8 as binary: %s", async ([, payload]) => {
    await publish("tidegate:chat", payload);
    expect(await nextEvent()).toBe(binary(payload));
  });

  test("of something not UTF-8 is a binary frame to a client that takes them", async ({ stage }) => {
    const options = { token: token(), channels: ["chat"], protocols: ["tidegate.v1.binary"] };
    const other = await stage.client(node.webSocketUrl, options);
    await other.next("subscribed");
    const payload = notUtf8["Latin-1"];
    await publish("tidegate:chat", payload);
    const event = await other.next("message");
    expect(event.payload).toEqual(payload);
    expect(event).toMatchObject({ channel: "chat", timestamp: expect.any(String) });
    expect(event).not.toHaveProperty("data_base64");
    await nextEvent();
  });

  test("of an event is that event, without its id, with its data as it stands", async () => {
    await publish("tidegate:chat", '{"type":"order.placed","data":{"n": 12345678901234567890}}');
    expect(await nextEvent()).toBe(
      '{"type":"order.placed","channel":"chat","timestamp":T,"data":{"n": 12345678901234567890}}',
    );
    const timestamp = "2020-02-29T23:59:59+01:00";
    await publish("tidegate:chat", `{"id":"x:1","data":1e999,"timestamp":"${timestamp}","type":"A:b_c-d.9"}`);
    expect(await nextEvent()).toBe(
      `{"type":"A:b_c-d.9","channel":"chat","timestamp":"${timestamp}","data":1e999}`,
    );
    await publish("tidegate:chat", '{"type":"message","data":null}');
    expect(await nextEvent()).toBe(message("null"));
    // Of a key that occurs twice the last one counts, as in every parser.
    await publish("tidegate:chat", '{"type":"a","data":1,"d\\u0061ta":2,"type":"b"}');
    expect(await nextEvent()).toBe('{"type":"b","channel":"chat","timestamp":T,"data":2}');
  });

  test("over the size limit is refused, counted and logged; one byte less is delivered", async () => {
    const series = 'tidegate_payloads_refused_total{reason="too_big"}';
    const before = await metric(node, series);
    const largest = JSON.stringify("x".repeat(65_534));
    await publish("tidegate:chat", `${largest} `);
    await publish("tidegate:chat", "y".repeat(5_000_000));
    await publish("tidegate:chat", largest);
    expect(await nextEvent()).toBe(message(largest));
    expect((await metric(node, series)) - before).toBe(2);
    await logged(node, (entry) => entry.reason === "too_big");
  });

  test("comes with the node's own time, in order, once", async () => {
    const before = client.frames.length;
    const lines = Array.from({ length: 500 }, (_, i) => `PUBLISH tidegate:chat ${i}`).join("\n");
    await run("redis-cli", ["-p", String(redis.port)], { input: lines });
    await client.next((frame) => frame.data === 499);
    const events = client.frames.slice(before);
    expect(events.map((event) => event.data)).toEqual(Array.from({ length: 500 }, (_, i) => i));
    const times = events.map((event) => Date.parse(event.timestamp as string));
    expect(times).toEqual([...times].sort());
    expect(Math.abs(Date.now() - (times.at(-1) as number))).toBeLessThan(10_000);
  });

  test("to a channel nobody subscribed to, or of another name, reaches nobody", async () => {
    for (const channel of [
      "tidegate:other",
      "tidegate:Chat",
      "tidegate:chat ",
      "tidegate",
      "chat",
      "tidegatechat",
    ]) {
      expect(await publish(channel, "1")).toBe(0);
    }
  });

  test("closes no client, whatever its payload was", async () => {
    expect(client.isOpen).toBe(true);
    expect(await client.request({ type: "ping" })).toMatchObject({ type: "pong" });
  });
});

describe("the channel of framed events", () => {
  const garbage = [
    ...["", "1", "1t", "\n", "hi", '{"type":"message","data":1}', "2t\n{}", "1x\n{}", "t1\n{}", " 1t\n{}"],
    `1t${"x".repeat(100)}\n{}`,
    ...["1t;\n{}", "1t;;\n{}", "1t;no id;c\n{}", "1t;e-c:-1;c\n{}", "1t;e-c:9007199254740992;c\n{}"],
    Buffer.from("1t\n\xff\xfe", "latin1"),
    Buffer.from('1t\n{"name":"Jürgen"}', "latin1"),
    Buffer.from("1b\n"),
    Buffer.from("1b\n\x00"),
    Buffer.from("1b\n\xff\xff{}", "latin1"),
    Buffer.from("1b\n\x00\x02[]", "latin1"),
    Buffer.from("1b\n\x00\x02\xff}", "latin1"),
    Buffer.alloc(1_000, 0),
  ];

  test("takes no garbage: it is refused and counted, and the next event is delivered", async () => {
    const series = 'tidegate_payloads_refused_total{reason="bad_envelope"}';
    const before = await metric(node, series);
    for (const payload of garbage) expect(await publish("tidegate!chat", payload)).toBe(1);
    await publish("tidegate:chat", '"after garbage"');
    expect(await nextEvent()).toBe(message('"after garbage"'));
    expect((await metric(node, series)) - before).toBe(garbage.length);
    await logged(node, (entry) => entry.reason === "bad_envelope");
  });

  test("is bounded in size like the plain one", async () => {
    const series = 'tidegate_payloads_refused_total{reason="too_big"}';
    const before = await metric(node, series);
    await publish("tidegate!chat", `1t\n"${"x".repeat(1_000_000)}"`);
    await publish("tidegate:chat", "1");
    expect(await nextEvent()).toBe(message("1"));
    expect((await metric(node, series)) - before).toBe(1);
  });

  test("of the probe takes no garbage either", async () => {
    for (const payload of ["", "0", "-1", "99999999999", "x".repeat(10_000)]) {
      await publish("tidegate.probe.node1", payload);
    }
    expect(await node.isReady()).toBe(true);
  });
});

test("nobody can subscribe to a pattern", async () => {
  for (const channel of ["*", "chat*", "c?at", "ch[ab]t", "chat\\", ".probe.node1", "!chat", "chat\n"]) {
    expect(await client.request({ type: "subscribe", channel })).toMatchObject({
      type: "error",
      code: "bad_channel",
    });
  }
  expect(await redis.cli("PUBSUB", "NUMPAT")).toBe("0");
});

test("two prefixes on one Redis do not hear each other", async ({ stage }) => {
  const sides = await Promise.all(
    ["alpha", "alpha-2"].map(async (prefix) => {
      const node = await stage.node({ redis, id: "same", env: { TIDEGATE_REDIS_PREFIX: prefix } });
      const client = await stage.client(node.webSocketUrl, { token: token(), channels: ["chat"] });
      await client.next("subscribed");
      return { prefix, client };
    }),
  );
  for (const { prefix, client } of sides) {
    expect(await client.request({ type: "publish", channel: "chat", data: prefix })).toMatchObject({
      listeners: 1,
    });
    expect(await publish(`${prefix}:chat`, `"plain ${prefix}"`)).toBe(1);
  }
  for (const { prefix, client } of sides) {
    await client.next((frame) => frame.data === `plain ${prefix}`);
    expect(client.events("chat").map((event) => event.data)).toEqual([prefix, `plain ${prefix}`]);
  }
});

test("a database number separates nothing, and is accepted", async ({ stage }) => {
  const node = await stage.node({ env: { TIDEGATE_REDIS_URL: `${redis.url}/5` } });
  const client = await stage.client(node.webSocketUrl, { token: token(), channels: ["chat"] });
  await client.next("subscribed");
  await publish("tidegate:chat", '"to both"');
  expect(await client.next("message")).toMatchObject({ data: "to both" });
  expect(await nextEvent()).toBe(message('"to both"'));
  await until("nobody is left", async () => (await metric(node, "tidegate_channels")) === 1);
});
