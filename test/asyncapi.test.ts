import type { TSchema } from "typebox";
import { beforeAll, describe, expect, it } from "vitest";
import { asyncApi } from "../src/docs/asyncapi.ts";
import { EXCHANGES } from "../src/docs/exchanges.ts";
import { CONTROL_WORDS } from "../src/protocol/event.ts";
import type { ServerFrame } from "../src/protocol/frames.ts";
import { COMMANDS } from "../src/schema/commands.ts";
import { EVENTS, FRAMES } from "../src/schema/frames.ts";
import { fits } from "../src/schema/shape.ts";
import { BLOCKS } from "../src/schema/stream.ts";
import type { Client, Frame } from "./support/client.ts";
import { type GatewayNode, sharedStage } from "./support/servers.ts";
import { token } from "./support/token.ts";
import { closed } from "./tools/closed.ts";

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

/** By the type of the frame; an event has a timestamp. */
const SENT: Readonly<Record<string, TSchema>> = Object.fromEntries(
  Object.values(FRAMES).map((schema) => [schema.properties.type.const, closed(schema)]),
);

function expectDocumented({ payload, ...frame }: Frame): void {
  const event = payload ? EVENTS.binaryEvent : "data" in frame ? EVENTS.textEvent : EVENTS.base64Event;
  const schema = "timestamp" in frame ? closed(event) : SENT[frame.type];
  if (!schema) throw new Error(`no schema is of ${JSON.stringify(frame)}`);
  expect(fits(schema)(frame), JSON.stringify(frame)).toBe(true);
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

  it("as it stops is documented too, over a WebSocket and in a stream", async () => {
    const stopping = await stage.node({ env: { TIDEGATE_DRAIN_TIME: "1s" } });
    const client = await stage.client(stopping.webSocketUrl, { token: token() });
    const stream = await fetch(`${stopping.url}/v1/events?channel=a`, {
      headers: { Authorization: `Bearer ${token()}` },
    });
    stopping.kill("SIGTERM");
    expectDocumented(await client.next("closing"));
    const text = await stream.text();
    const blocks = [...text.matchAll(/event: (\$\w+)\n(?:retry: \d+\n)?data: (.*)\n\n/g)];
    expect(blocks.length, text).toBeGreaterThan(0);
    for (const [, event = "", data = ""] of blocks) {
      const schema = closed(BLOCKS[event as keyof typeof BLOCKS]);
      expect(fits(schema)(JSON.parse(data)), data).toBe(true);
    }
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

interface Document {
  readonly info: { readonly version: string };
  readonly channels: Record<string, { readonly messages: Record<string, { readonly $ref: string }> }>;
  readonly components: {
    readonly messages: Record<string, { readonly examples?: { readonly payload: unknown }[] }>;
  };
}

describe("the document", () => {
  const document = asyncApi("1.2.3") as unknown as Document;

  it("is what a node serves, with the version of the node", async () => {
    const served = (await (await fetch(`${node.url}/asyncapi.json`)).json()) as Document;
    const expected = JSON.parse(JSON.stringify(document)) as Document;
    expect({ ...served, info: { ...served.info, version: "1.2.3" } }).toEqual(expected);
  });

  it("has examples of every command, frame and event, that fit their schemas", () => {
    const schemas: Record<string, TSchema> = { ...COMMANDS, ...FRAMES, ...EVENTS };
    for (const [name, schema] of Object.entries(schemas)) {
      const examples = document.components.messages[name]?.examples ?? [];
      expect(examples.length, name).toBeGreaterThan(0);
      for (const { payload } of examples) expect(fits(schema)(payload), JSON.stringify(payload)).toBe(true);
    }
  });

  it("has a channel for every message, and a message for every command with its reply", () => {
    const placed = Object.values(document.channels).flatMap(({ messages }) => Object.keys(messages));
    expect([...new Set(placed)].sort()).toEqual(Object.keys(document.components.messages).sort());
    expect(Object.keys(EXCHANGES)).toEqual(Object.keys(COMMANDS));
  });
});
