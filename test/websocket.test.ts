import { Redis } from "ioredis";
import { beforeAll, describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { Client, type Frame } from "./support/client.ts";
import { metric, scrape } from "./support/metrics.ts";
import { frame, OPCODE, RawWebSocket } from "./support/raw.ts";
import { type GatewayNode, type RedisServer, type Stage, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";
import { ID } from "./tools/id.ts";

const stage = sharedStage();
let redis: RedisServer;
let node: GatewayNode;

beforeAll(async () => {
  redis = await stage.redis();
  const env = { TIDEGATE_COMMAND_RATE: "0", TIDEGATE_MAX_QUEUED_BYTES: "16MiB" };
  node = await stage.node({ redis, env });
});

/** Subscribed to `channel`. */
async function follow(stage: Stage, channel: string, protocols: string[] = []): Promise<Client> {
  const client = await stage.client(node.webSocketUrl, { token: token(), channels: [channel], protocols });
  await client.next("subscribed");
  return client;
}

/** Publishes over one connection of a Redis client, as fast as it can. */
async function publishAll(channel: string, payloads: (string | Buffer)[]): Promise<void> {
  const publisher = new Redis(redis.port);
  try {
    await Promise.all(payloads.map((payload) => publisher.publish(`tidegate:${channel}`, payload)));
  } finally {
    publisher.disconnect();
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
const dataOf = (events: readonly Frame[]) => events.map((event) => event.data);

describe("a connection", () => {
  test("is welcomed first, and told everything that it needs to know", async ({ stage }) => {
    const options = { token: token({ sub: "ann", expiresIn: 600 }), channels: ["chat"] };
    const client = await stage.client(node.webSocketUrl, options);
    expect(client.frames[0]).toEqual({
      type: "welcome",
      connection: expect.stringMatching(/^[\w-]+$/),
      node: "node1",
      user: "ann",
      expires_in: expect.any(Number),
      heartbeat: 30_000,
      limits: { frame_bytes: 65_536, channels: 100, commands_per_second: 0 },
      features: expect.arrayContaining(["publish", "binary"]),
      reconnect: { min: expect.any(Number), max: expect.any(Number) },
    });
    const expiresIn = client.frames[0]?.expires_in as number;
    expect(expiresIn).toBeGreaterThan(590_000);
    expect(expiresIn).toBeLessThanOrEqual(600_000);
    expect(await client.next()).toEqual({ type: "subscribed", channel: "chat", id: ID });
  });

  test("has an id of its own", async ({ stage }) => {
    const clients = await stage.clients(20, node.webSocketUrl, { token: token() });
    expect(new Set(clients.map((client) => client.frames[0]?.connection)).size).toBe(20);
  });

  test("needs no frame at all to hear its channels", async ({ stage }) => {
    const channels = ["chat", "news", "not a name", "news"];
    const limited = { chat: ["subscribe"], news: ["subscribe"] };
    const client = await stage.client(node.webSocketUrl, {
      token: token({ channels: limited }),
      channels: [...channels, "secret"],
    });
    await until("all are answered", () => client.frames.length === 6);
    const answers = client.frames.slice(1);
    expect(answers).toContainEqual({ type: "subscribed", channel: "chat", id: ID });
    expect(answers.filter((answer) => answer.channel === "news")).toHaveLength(2);
    expect(answers.filter((answer) => answer.code === "bad_channel")).toHaveLength(1);
    expect(answers).toContainEqual(
      expect.objectContaining({ type: "error", code: "forbidden", channel: "secret" }),
    );
    await publishAll("news", ["1"]);
    await client.next((frame) => frame.data === 1);
    await client.request({ type: "ping" });
    expect(client.events("news")).toHaveLength(1);
  });

  test("hears its channels after it authenticated by frame, with commands pipelined behind", async ({
    stage,
  }) => {
    const client = await stage.client(node.webSocketUrl, { channels: ["chat"] });
    expect(client.frames[0]).toMatchObject({ user: null, expires_in: null });
    client.send({ type: "auth", token: token({ sub: "ann" }), ref: 1 });
    client.send({ type: "subscribe", channel: "news", ref: 2 });
    client.send({ type: "publish", channel: "news", data: "hello", ref: 3 });
    expect(await client.next()).toMatchObject({ type: "authenticated", user: "ann", ref: 1 });
    const rest = await Promise.all([1, 2, 3, 4].map(() => client.next()));
    expect(
      rest
        .filter((frame) => frame.type === "subscribed")
        .map((frame) => frame.channel)
        .sort(),
    ).toEqual(["chat", "news"]);
    expect(rest).toContainEqual({ type: "published", channel: "news", ref: 3, id: ID, listeners: 1 });
    expect(rest).toContainEqual(expect.objectContaining({ type: "message", data: "hello", sender: "ann" }));
  });
});

describe("events", () => {
  test("of a burst reach all of fifty sockets in order, once", async ({ stage }) => {
    const clients = await Promise.all(numbers(50).map(() => follow(stage, "burst")));
    const before = await scrape(node);
    await publishAll("burst", numbers(1_000).map(String));
    await Promise.all(clients.map((client) => client.next((frame) => frame.data === 999, 15_000)));
    for (const client of clients) expect(dataOf(client.events("burst"))).toEqual(numbers(1_000));

    const after = await scrape(node);
    const grown = (series: string) => (after.get(series) ?? 0) - (before.get(series) ?? 0);
    const delivered = grown('tidegate_events_delivered_total{transport="websocket"}');
    expect(delivered).toBe(50_000);
    expect(grown('tidegate_events_received_total{source="plain"}')).toBe(1_000);
  });

  test("of several channels reach one client with each channel in order", async ({ stage }) => {
    const names = ["multi-a", "multi-b", "multi-c"];
    const client = await stage.client(node.webSocketUrl, { token: token(), channels: names });
    for (const _ of names) await client.next("subscribed");
    const publisher = stage.add(new Client(node.webSocketUrl, { token: token() }));
    await publisher.opened;
    for (const i of numbers(300)) publisher.send({ type: "publish", channel: names[i % 3], data: i });
    await until("all are there", () => names.every((name) => client.events(name).length === 100));
    for (const [i, name] of names.entries()) {
      expect(dataOf(client.events(name))).toEqual(numbers(300).filter((n) => n % 3 === i));
    }
  });

  test("are heard from `subscribed` on and until `unsubscribed`, while events keep coming", async ({
    stage,
  }) => {
    const client = await stage.client(node.webSocketUrl, { token: token() });
    const publisher = new Redis(redis.port);
    stage.add({ stop: () => publisher.disconnect() });
    let published = 0;
    const timer = setInterval(() => void publisher.publish("tidegate:busy", String(published++)), 1);
    stage.add({ stop: () => clearInterval(timer) });
    for (let round = 0; round < 20; round++) {
      expect(await client.request({ type: "subscribe", channel: "busy" })).toMatchObject({
        type: "subscribed",
      });
      await client.next("message");
      expect(await client.request({ type: "unsubscribe", channel: "busy" })).toMatchObject({
        type: "unsubscribed",
      });
      expect(await client.request({ type: "ping" })).toMatchObject({ type: "pong" });
    }
    let isSubscribed = false;
    let last = -1;
    for (const frame of client.frames) {
      if (frame.type === "subscribed" || frame.type === "unsubscribed") {
        isSubscribed = frame.type === "subscribed";
        last = -1;
      }
      if (frame.type !== "message") continue;
      expect(isSubscribed).toBe(true);
      if (last >= 0) expect(frame.data).toBe(last + 1);
      last = frame.data as number;
    }
  });

  test("that a client published are echoed to it, unless it says otherwise", async ({ stage }) => {
    const one = await follow(stage, "echo");
    const two = await follow(stage, "echo");
    const publish = { type: "publish", channel: "echo" };
    expect(await one.request({ ...publish, data: "all" })).toMatchObject({ type: "published", listeners: 1 });
    await one.request({ ...publish, data: "others", echo: false });
    await one.request({ ...publish, event: { type: "typing", data: {} } });
    await Promise.all([one, two].map((client) => client.next("typing")));
    expect(dataOf(one.events("echo"))).toEqual(["all", {}]);
    expect(dataOf(two.events("echo"))).toEqual(["all", "others", {}]);
  });

  test("end with the last subscriber: the node does not listen any more", async ({ stage }) => {
    const listeners = async () => (await redis.cli("PUBSUB", "NUMSUB", "tidegate:last")).split("\n")[1];
    const one = await follow(stage, "last");
    const two = await follow(stage, "last");
    expect(await listeners()).toBe("1");
    await one.request({ type: "unsubscribe", channel: "last" });
    expect(await listeners()).toBe("1");
    two.stop();
    await until("nobody listens", async () => (await listeners()) === "0");
  });
});

describe("binary payloads", () => {
  const payload = Buffer.from(Array.from({ length: 1_024 }, (_, i) => i % 256));
  const head = (json: object) => {
    const text = Buffer.from(JSON.stringify(json));
    return Buffer.concat([Buffer.from([text.length >> 8, text.length & 0xff]), text]);
  };

  test("travel between a client that takes binary frames and one that takes JSON", async ({ stage }) => {
    const bytes = await follow(stage, "mixed", ["tidegate.v1.binary"]);
    const json = await follow(stage, "mixed");
    bytes.send(
      Buffer.concat([
        head({ type: "publish", channel: "mixed", ref: "b", event: { type: "image" } }),
        payload,
      ]),
    );
    expect(await bytes.next((frame) => frame.ref === "b")).toMatchObject({ type: "published", listeners: 1 });
    await until("both have it", () => [bytes, json].every((client) => client.events("mixed").length === 1));
    const base = { type: "image", channel: "mixed", id: ID, timestamp: expect.any(String), sender: "user-1" };
    expect(bytes.events("mixed")).toEqual([{ ...base, payload }]);
    expect(json.events("mixed")).toEqual([{ ...base, data_base64: payload.toString("base64") }]);

    // JSON stays JSON for both.
    await json.request({ type: "publish", channel: "mixed", data: { text: "hi" } });
    for (const client of [bytes, json]) {
      expect(await client.next((frame) => frame.data !== undefined)).toMatchObject({ data: { text: "hi" } });
    }
  });

  test("that are malformed, or not agreed on, are an error, and the connection lives", async ({ stage }) => {
    const bytes = await follow(stage, "mixed", ["tidegate.v1.binary"]);
    const bad = [
      Buffer.alloc(0),
      Buffer.from([0]),
      Buffer.from([0xff, 0xff, 0x7b]),
      Buffer.concat([Buffer.from([0, 2, 0xff, 0xfe]), payload]),
      head({ type: "subscribe", channel: "mixed" }),
      head({ type: "publish" }),
    ];
    for (const frame of bad) {
      bytes.send(frame);
      expect(await bytes.next()).toMatchObject({
        type: "error",
        code: expect.stringMatching(/^bad_(frame|channel)$/),
      });
    }
    const json = await follow(stage, "mixed");
    json.send(payload);
    expect(await json.next()).toMatchObject({ type: "error", code: "bad_frame" });
    for (const client of [bytes, json])
      expect(await client.request({ type: "ping" })).toMatchObject({ type: "pong" });
  });
});

describe("a large event", () => {
  const text = (length: number) => "x".repeat(length);

  test.for([16_000, 16_384, 16_500, 30_720, 46_080, 60_000])(
    "of about %i bytes comes whole, in its place among small ones, to all but who does not want it",
    async (length, { stage }) => {
      const [author, json, bytes] = await Promise.all([
        follow(stage, "large"),
        follow(stage, "large"),
        follow(stage, "large", ["tidegate.v1.binary"]),
      ]);
      const sent: (string | number)[] = [];
      for (let round = 0; round < 5; round++) sent.push(round, text(length + round), text(50));
      for (const data of sent) author.send({ type: "publish", channel: "large", data, echo: false });
      author.send({ type: "publish", channel: "large", data: "end" });
      for (const client of [author, json, bytes]) await client.next((frame) => frame.data === "end");
      expect(dataOf(json.events("large"))).toEqual([...sent, "end"]);
      expect(dataOf(bytes.events("large"))).toEqual([...sent, "end"]);
      expect(dataOf(author.events("large"))).toEqual(["end"]);
    },
  );

  test("with a binary payload comes as one binary message, and as base64", async ({ stage }) => {
    const payload = Buffer.from(Array.from({ length: 40_000 }, (_, i) => i % 256));
    const bytes = await follow(stage, "large-binary", ["tidegate.v1.binary"]);
    const json = await follow(stage, "large-binary");
    const publisher = new Redis(redis.port);
    stage.add({ stop: () => publisher.disconnect() });
    await publisher.publish("tidegate:large-binary", payload);
    expect((await bytes.next("message")).payload).toEqual(payload);
    expect((await json.next("message")).data_base64).toBe(payload.toString("base64"));
  });
});

describe("a frame", () => {
  const padded = (length: number) => {
    const empty = JSON.stringify({ type: "ping", ref: 1, pad: "" });
    return empty.replace('""', `"${"x".repeat(length - empty.length)}"`);
  };

  test("may be as big as `welcome` says, and one byte more is closed with 4509", async ({ stage }) => {
    const client = await stage.client(node.webSocketUrl, { token: token() });
    client.send(padded(65_536));
    expect(await client.next()).toEqual({ type: "pong", ref: 1 });
    client.send(padded(65_537));
    expect(await client.closed).toEqual({ code: 4509, reason: "too_big" });
    expect(await metric(node, 'tidegate_connections_closed_total{reason="too_big"}')).toBe(1);
  });

  test("far too big ends the connection, and its neighbours do not notice", async ({ stage }) => {
    const neighbour = await follow(stage, "neighbours");
    const client = await stage.client(node.webSocketUrl, { token: token() });
    client.send(padded(300_000));
    expect((await client.closed).code).toBe(1006);
    // The head of a frame of 16 MiB, and nothing of it.
    const raw = stage.add(await RawWebSocket.open(node.port, "/ws"));
    raw.socket.write(Buffer.from([0x81, 0xff, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 4]));
    await raw.ended;
    await publishAll("neighbours", ["1"]);
    await neighbour.next("message");
  });

  test.for<[string, number, Buffer]>([
    ["text that is not UTF-8", OPCODE.text, Buffer.from('{"type":"ping","x":"\xff"}', "latin1")],
    ["a cut character", OPCODE.text, Buffer.from([0xe4, 0xb8])],
    ["an opcode that does not exist", 3, Buffer.alloc(0)],
    ["a close with a code that may not be sent", OPCODE.close, Buffer.from([0x03, 0xed])],
  ])("with %s ends the connection, and no other", async ([, opcode, payload], { stage }) => {
    const neighbour = await follow(stage, "neighbours");
    const raw = stage.add(await RawWebSocket.open(node.port, "/ws", { Authorization: `Bearer ${token()}` }));
    raw.socket.write(frame(opcode, payload));
    await raw.ended;
    expect(await neighbour.request({ type: "ping" })).toMatchObject({ type: "pong" });
  });

  test.for([
    ["", "bad_frame"],
    ["hi", "bad_frame"],
    ["null", "bad_frame"],
    ["[1]", "bad_frame"],
    ['{"type":"ping"', "bad_frame"],
    ["{}", "unknown_type"],
    ['{"type":"toString"}', "unknown_type"],
    ['{"type":"__proto__","__proto__":{"admin":true}}', "unknown_type"],
    [`{"type":${"[".repeat(20_000)}${"]".repeat(20_000)}}`, "too_complex"],
    ['{"type":"subscribe"}', "bad_channel"],
    ['{"type":"subscribe","channel":"a b"}', "bad_channel"],
    ['{"type":"subscribe","channels":[]}', "bad_frame"],
    ['{"type":"publish","channel":"chat"}', "bad_event"],
    ['{"type":"publish","channel":"job:1","data":1}', "reserved_channel"],
    ['{"type":"publish","channel":"chat","event":{"type":"welcome","data":1}}', "bad_event"],
    ['{"type":"ping","ref":-1}', "bad_frame"],
    ['{"type":"history","channel":"chat","limit":0}', "bad_limit"],
  ])("like %.60s is an error `%s`, and the connection lives", async ([text, code], { stage }) => {
    const client = await stage.client(node.webSocketUrl, { token: token() });
    client.send(text as string);
    expect(await client.next()).toMatchObject({ type: "error", code, temporary: false });
    expect(await client.request({ type: "ping" })).toMatchObject({ type: "pong" });
  });
});

describe("limits of a connection", () => {
  const limited = (stage: Stage, rate: string) => {
    const env = { TIDEGATE_COMMAND_RATE: rate, TIDEGATE_MAX_CHANNELS_PER_CONNECTION: "3" };
    return stage.node({ env });
  };

  test("bound its subscriptions", async ({ stage }) => {
    const node = await limited(stage, "0");
    const client = await stage.client(node.webSocketUrl, { token: token() });
    client.send({ type: "subscribe", ref: 1, channels: ["a", "b", "c"].map((channel) => ({ channel })) });
    for (const channel of ["a", "b", "c"]) {
      expect(await client.next()).toEqual({ type: "subscribed", ref: 1, channel, id: ID });
    }
    const refused = { type: "error", code: "too_many_channels", temporary: false };
    expect(await client.request({ type: "subscribe", channel: "d" })).toMatchObject(refused);
    expect(await client.request({ type: "subscribe", channel: "a" })).toMatchObject({ type: "subscribed" });
    await client.request({ type: "unsubscribe", channel: "a" });
    expect(await client.request({ type: "subscribe", channel: "d" })).toMatchObject({ type: "subscribed" });
  });

  test("bound its commands per second: it is told, may go on later, and is closed when it does not care", async ({
    stage,
  }) => {
    const node = await limited(stage, "5");
    const client = await stage.client(node.webSocketUrl, { token: token() });
    for (const ref of numbers(30)) client.send({ type: "ping", ref });
    const replies = await Promise.all(numbers(30).map(() => client.next()));
    const refused = replies.filter((reply) => reply.type === "error");
    expect(refused[0]).toMatchObject({ code: "command_rate", temporary: true });
    // Four seconds' worth may come at once.
    expect(replies.length - refused.length).toBeGreaterThanOrEqual(20);
    expect(replies.length - refused.length).toBeLessThan(25);
    await until("it may again", async () => {
      client.send({ type: "ping" });
      return (await client.next()).type === "pong";
    });
    for (const _ of numbers(100)) client.send({ type: "ping" });
    expect(await client.closed).toEqual({ code: 4429, reason: "command_rate" });
  });

  test("are told with the `ref` of the command that passed them", async ({ stage }) => {
    const node = await limited(stage, "5");
    const client = await stage.client(node.webSocketUrl, { token: token() });
    for (const ref of numbers(30)) client.send({ type: "ping", ref });
    const replies = await Promise.all(numbers(30).map(() => client.next()));
    expect(replies.map((reply) => reply.ref)).toEqual(numbers(30));
  });
});
