import { readFileSync } from "node:fs";
import { type TSchema, Type } from "typebox";
import { beforeAll, describe, expect, it } from "vitest";
import { EXCHANGES, FUNCTION_ERRORS } from "../src/docs/asyncapi/exchanges.ts";
import { Components } from "../src/docs/components.ts";
import { CONTROL_WORDS } from "../src/protocol/event.ts";
import type { ServerFrame } from "../src/protocol/frames.ts";
import { COMMANDS } from "../src/schema/commands.ts";
import { EVENTS, FRAMES } from "../src/schema/frames.ts";
import { fits } from "../src/schema/shape.ts";
import { BLOCKS } from "../src/schema/stream.ts";
import type { Client, Frame } from "./support/client.ts";
import { answerOf, type Block, blocksIn, EventStream, manyUrl, streamUrl } from "./support/event-stream.ts";
import { type GatewayNode, sharedStage } from "./support/servers.ts";
import { token } from "./support/token.ts";
import { type AsyncApiDocument, type Carried, documentOf, Holder } from "./tools/asyncapi-document.ts";
import { closed } from "./tools/closed.ts";
import { undescribed } from "./tools/described.ts";

const stage = sharedStage();
let node: GatewayNode;

beforeAll(async () => {
  node = await stage.node({
    env: {
      TIDEGATE_PRESENCE: "room-*",
      TIDEGATE_HISTORY: '{"*":{"size":2,"time":"10m"},"plain-*":"off"}',
      TIDEGATE_DRAIN_TIME: "1s",
    },
  });
});

const document = documentOf();
const holder = new Holder(document);

/** By the type of the frame; an event has a timestamp. */
const SENT: Readonly<Record<string, TSchema>> = Object.fromEntries(
  Object.values(FRAMES).map((schema) => [schema.properties.type.const, closed(schema)]),
);

function expectDocumented({ payload, ...frame }: Frame): void {
  const event = payload ? EVENTS.binaryEvent : "data" in frame ? EVENTS.textEvent : EVENTS.base64Event;
  const schema = "timestamp" in frame ? closed(event) : SENT[frame.type];
  if (!schema) throw new Error(`no schema is of ${JSON.stringify(frame)}`);
  expect(fits(schema)(frame), JSON.stringify(frame)).toBe(true);
  const carried = payload ? { headers: frame, payload: payload.toString("latin1") } : { payload: frame };
  expect(holder.messagesOf("frames", carried), JSON.stringify(frame)).toHaveLength(1);
}

/** What a block of the gateway's own has in its `data`, and which of the two forms of `$closing`. */
const BLOCK_SCHEMAS: Readonly<Record<string, TSchema>> = {
  streamWelcome: BLOCKS.$welcome,
  streamLost: BLOCKS.$lost,
  streamClosing: BLOCKS.$closing.anyOf[0],
  streamEnded: BLOCKS.$closing.anyOf[1],
  streamError: BLOCKS.$error,
};

/** Of blocks with data: a browser dispatches no other. @returns the message that each is */
function documentedBlocks(channel: string, blocks: readonly Block[]): string[] {
  return blocks.flatMap(({ comments: _, unknown, data, ...headers }) => {
    expect(unknown).toEqual([]);
    if (data === undefined) return [];
    const payload: unknown = JSON.parse(data);
    const names = holder.messagesOf(channel, { headers, payload });
    expect(names, JSON.stringify([headers, data])).toHaveLength(1);
    const [name = ""] = names;
    const schema = BLOCK_SCHEMAS[name];
    if (schema) expect(fits(closed(schema))(payload), data).toBe(true);
    const lines = Object.keys(document.components.messages[name]?.headers?.properties ?? {});
    expect(Object.keys(headers).filter((line) => !lines.includes(line))).toEqual([]);
    return [name];
  });
}

describe("what a node sends", () => {
  /** Asks for each kind of frame, as far as a client can. @returns the client with all that it got */
  async function conversation(protocols: string[]): Promise<Client> {
    const client = await stage.client(node.webSocketUrl, { protocols });
    await client.request({ type: "auth", token: token({ sub: "ann", claims: { info: { name: "Ann" } } }) });
    const first = await client.request({ type: "subscribe", channel: "chat-1" });
    await client.request({ type: "subscribe", channel: "plain-1" });
    await client.request({ type: "subscribe", channels: [{ channel: "room-1", last: 5 }] });
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const event = { type: "chat.message", data: { n: 1 } };
    await client.request({ type: "publish", channel: "chat-1", event, key: "k", traceparent });
    await client.request({ type: "publish", channel: "chat-1", event, key: "k", traceparent });
    await client.request({ type: "publish", channel: "plain-1", data: 1 });
    const head = Buffer.from('{"type":"publish","channel":"chat-1","ref":"binary"}');
    const length = Buffer.alloc(2);
    length.writeUInt16BE(head.length);
    const binary = { protocols: ["tidegate.v1.binary"], token: token({ sub: "bob" }) };
    const sender = await stage.client(node.webSocketUrl, binary);
    sender.send(Buffer.concat([length, head, Buffer.of(0, 255)]));
    await sender.next((frame) => frame.ref === "binary");
    await client.next((frame) => frame.sender === "bob");
    await client.request({ type: "message", channel: "chat-1", text: "third: the first is trimmed" });
    await client.request({ type: "history", channel: "chat-1" });
    await client.request({ type: "presence", channel: "room-1" });
    await client.request({ type: "unsubscribe", channel: "chat-1" });
    await client.request({ type: "subscribe", channel: "chat-1", since: first.id });
    await client.request({ type: "publish", channel: "job:1", data: 1 });
    await client.request({ type: "shout" });
    await client.request({ type: "ping" });
    await client.request({ type: "auth", token: token({ sub: "ann", channels: {} }) });
    await client.next("unsubscribed");
    return client;
  }

  it.each([["tidegate.v1"], ["tidegate.v1.binary"]])(
    "over %s is documented, each frame with each field",
    async (protocol) => {
      const { frames } = await conversation([protocol]);
      expect(frames.length).toBeGreaterThan(20);
      for (const frame of frames) expectDocumented(frame);
      const seen = new Set(frames.map(({ type }) => type));
      expect(Object.keys(SENT).filter((type) => !seen.has(type))).toEqual(["closing"]);
    },
  );

  it("in a stream is documented, each block with each line", async () => {
    const crowded = await stage.node({ env: { TIDEGATE_HANDSHAKE_RATE: "1" } });
    const options = { token: token({ sub: "eve" }) };
    const [one, many] = [streamUrl(node.url, "chat-9"), manyUrl(node.url, "chat-9")];
    const streams = [
      ["channelStream", stage.add(await EventStream.open(one, { ...options, lastEventId: "e-c:1" }))],
      ["manyStream", stage.add(await EventStream.open(many, options))],
    ] as const;
    const publisher = await stage.client(node.webSocketUrl, { token: token() });
    await publisher.request({ type: "publish", channel: "chat-9", data: { text: "hi" } });
    for (const [, stream] of streams) await stream.next("message");
    const admin = token({ claims: { admin: ["connections"] } });
    await fetch(`${node.url}/v1/users/eve/connections`, {
      method: "DELETE",
      headers: { Authorization: `Bearer ${admin}` },
    });
    const seen = await Promise.all(
      streams.map(async ([channel, stream]) => {
        await stream.ended;
        return documentedBlocks(channel, stream.blocks);
      }),
    );
    expect(seen).toEqual([
      ["streamWelcome", "streamLost", "streamData", "streamEnded"],
      ["streamWelcome", "streamEvent", "streamEnded"],
    ]);
    const refused = manyUrl(crowded.url, "chat-9");
    stage.add(await EventStream.open(refused, options));
    const second = await answerOf(refused, options);
    expect(documentedBlocks("manyStream", blocksIn(second.body))).toEqual(["streamError"]);
  });

  it("as it stops is documented too, over a WebSocket and in a stream", async () => {
    const stopping = await stage.node({ env: { TIDEGATE_DRAIN_TIME: "1s" } });
    const client = await stage.client(stopping.webSocketUrl, { token: token() });
    const stream = stage.add(await EventStream.open(streamUrl(stopping.url, "a"), { token: token() }));
    stopping.kill("SIGTERM");
    expectDocumented(await client.next("closing"));
    await stream.ended;
    const seen = documentedBlocks("channelStream", stream.blocks);
    expect(seen).toEqual(["streamWelcome", "streamClosing", "streamEnded"]);
  });
});

describe("the schemas of frames", () => {
  it("are those of every control word that the types of the protocol know", () => {
    // What a `ServerFrame` is, the compiler holds the session to; this holds the schemas to it.
    const types: Record<ServerFrame["type"], true> = {
      welcome: true,
      authenticated: true,
      subscribed: true,
      unsubscribed: true,
      published: true,
      pong: true,
      closing: true,
      error: true,
    };
    const answers = ["history", "presence"];
    expect(Object.keys(SENT).sort()).toEqual([...Object.keys(types), ...answers].sort());
    const commands = Object.values(COMMANDS).map((schema) => schema.properties.type.const);
    const known = new Set<string>([...Object.keys(SENT), ...commands]);
    const later = ["job", "accepted"];
    expect([...CONTROL_WORDS].filter((word) => !known.has(word)).sort()).toEqual([...later].sort());
  });
});

describe("the document", () => {
  const { channels, components, operations } = document;

  it("is what a node serves, with the version of the node", async () => {
    const served = (await (await fetch(`${node.url}/asyncapi.json`)).json()) as AsyncApiDocument;
    expect({ ...served, info: { ...served.info, version: "1.2.3" } }).toEqual(document);
  });

  it("has a channel for every message, and a message for every command with its reply", () => {
    const placed = Object.values(channels).flatMap(({ messages }) => Object.keys(messages));
    expect([...new Set(placed)].sort()).toEqual(Object.keys(components.messages).sort());
    expect(Object.keys(EXCHANGES)).toEqual(Object.keys(COMMANDS));
    expect(Object.keys(channels.commands?.messages ?? {})).toEqual(Object.keys(COMMANDS));
    const sent = Object.keys(channels.frames?.messages ?? {});
    expect(sent).toEqual([...Object.keys(FRAMES), ...Object.keys(EVENTS)]);
    const blocks = Object.keys(BLOCK_SCHEMAS);
    expect(Object.keys(channels.channelStream?.messages ?? {})).toEqual(["streamData", ...blocks]);
    expect(Object.keys(channels.manyStream?.messages ?? {})).toEqual(["streamEvent", ...blocks]);
  });

  it("sends or receives every message of every channel", () => {
    const used = Object.values(operations).flatMap((operation) => JSON.stringify(operation).match(/#[^"]*/g));
    const all = Object.entries(channels).flatMap(([channel, { messages }]) =>
      Object.keys(messages).map((name) => `#/channels/${channel}/messages/${name}`),
    );
    expect(all.filter((reference) => !used.includes(reference))).toEqual([]);
  });

  it("says of every field what it is, and of every number what it counts", () => {
    expect(undescribed(document)).toEqual([]);
  });

  it("says in a line, at length and by example what every message is", () => {
    const silent = Object.entries(components.messages).filter(
      ([, { summary, description, examples }]) => !summary || !description || !examples?.length,
    );
    expect(silent).toEqual([]);
  });

  it("has examples that fit their schemas, wherever they stand", () => {
    const { misfits, examples } = holder.misfits();
    expect(misfits).toEqual([]);
    expect(examples).toBeGreaterThan(50);
  });

  it("has examples of all that is sent that name no field which is not documented", () => {
    for (const schema of [FRAMES, EVENTS, BLOCK_SCHEMAS].flatMap((group) => Object.values<TSchema>(group))) {
      for (const example of (schema as { examples?: unknown[] }).examples ?? [])
        expect(fits(closed(schema))(example), JSON.stringify(example)).toBe(true);
    }
  });

  it.each(Object.entries(channels))(
    "has in %s one message that each example fits",
    (channel, { messages }) => {
      for (const name of Object.keys(messages)) {
        for (const example of components.messages[name]?.examples ?? [])
          expect(holder.messagesOf(channel, example), JSON.stringify(example)).toEqual([name]);
      }
    },
  );

  it("takes no block for another than its `event:` says", () => {
    const examples = Object.keys(BLOCK_SCHEMAS).map(
      (name) => components.messages[name]?.examples?.[0] as Carried,
    );
    for (const { headers } of examples) {
      for (const { headers: others, payload } of examples) {
        const isOwn = JSON.stringify(headers) === JSON.stringify(others);
        expect(holder.messagesOf("manyStream", { headers, payload })).toHaveLength(isOwn ? 1 : 0);
      }
    }
  });

  /* Frames that no example is: of two commands the one that the node takes them for. */
  const event = { data: 1 };
  const bytes = { headers: { type: "publish", channel: "a", event }, payload: "" };
  it.each<[string[], Carried]>([
    [["publish"], { payload: { type: "publish", channel: "a", event, data: 2 } }],
    [["subscribeMany"], { payload: { type: "subscribe", channel: "a", channels: [{ channel: "b" }] } }],
    [["publishBinary"], bytes],
    [[], { ...bytes, headers: { type: "ping" } }],
    [[], { ...bytes, payload: 7 }],
  ])("takes for %j what a node does", (names, frame) => {
    expect(holder.messagesOf("commands", frame)).toEqual(names);
  });

  it.each([
    ["plain", { type: "welcome", data: 1 }],
    ["plain", { type: "chat", data: 1, more: 2 }],
    ["plain", "text"],
    ["plainEvent", { type: "chat", data: 1, id: 7 }],
  ])("takes for %s a PUBLISH of %j", (name, payload) => {
    expect(holder.messagesOf("plainRedis", { payload })).toEqual([name]);
  });

  it("says where the `ref` of every message is that has one", () => {
    for (const [name, schema] of Object.entries<TSchema>({ ...COMMANDS, ...FRAMES })) {
      const message = components.messages[name];
      const key = message?.correlationId?.$ref.split("/").at(-1) ?? "";
      const place = /binary/i.test(name) ? "header" : "payload";
      const expected =
        "ref" in (schema as { properties: object }).properties ? `$message.${place}#/ref` : undefined;
      expect(components.correlationIds[key]?.location, name).toBe(expected);
    }
  });

  it("has every code that the function within Redis refuses with", () => {
    const source = readFileSync(new URL("../src/backplane/redis/tidegate.lua", import.meta.url), "utf8");
    const codes = [...source.matchAll(/fail\('(\w+)'/g)].map(([, code]) => code);
    expect([...new Set(codes)].sort()).toEqual([...FUNCTION_ERRORS].sort());
  });
});

describe("what has a name", () => {
  const named = Type.String({ title: "Named", description: "It has one." });
  const reference = { $ref: "#/components/schemas/Named" };

  it.each([
    ["properties", { a: named }, { a: reference }],
    ["patternProperties", { "^a": named }, { "^a": reference }],
    ["additionalProperties", named, reference],
    ["items", named, reference],
    ["not", named, reference],
    ["anyOf", [named], [reference]],
    ["allOf", [named], [reference]],
    ["oneOf", [named], [reference]],
  ])("stands once in a document, and is pointed at in %s", (word, within, expected) => {
    const components = new Components();
    expect(components.refer(Type.Unsafe({ [word]: within }))).toEqual({ [word]: expected });
    expect(components.schemas).toEqual({ Named: named });
  });

  it("may allow any other member, or none", () => {
    for (const additionalProperties of [true, false])
      expect(new Components().refer(Type.Unsafe({ additionalProperties }))).toEqual({ additionalProperties });
  });
});
