import type { TSchema } from "typebox";
import { CODES, type CodeRow } from "../protocol/codes.ts";
import { SUBPROTOCOLS } from "../protocol/frames.ts";
import { COMMANDS } from "../schema/commands.ts";
import { EVENTS, Event, FRAMES } from "../schema/frames.ts";
import { BLOCKS } from "../schema/stream.ts";
import { Components } from "./components.ts";
import { type CommandName, EXCHANGES } from "./exchanges.ts";
import { sorted } from "./openapi.ts";

type Json = Record<string, unknown>;

const DESCRIPTION = `What a client and a node say to each other over a WebSocket, what an event stream (SSE) brings, and what may be published through Redis. Operations are seen from the gateway: it *receives* commands and *sends* frames. The HTTP API is in the OpenAPI document, \`/openapi.json\`; both are shown at \`/docs\`.

Each frame is one JSON object. Ignore fields and types that you do not know: within version 1 they are added, never changed. All durations are milliseconds and relative. Only the range of a close code decides whether to come back: 4000–4499 yes, 4500–4999 no.`;

const JSON_TYPE = "application/json";
const SERVERS = {
  node: {
    host: "localhost:8080",
    protocol: "ws",
    description: "A node, or the balancer in front of them (then `wss`).",
  },
  stream: { host: "localhost:8080", protocol: "http", description: "The same, for event streams." },
  redis: { host: "localhost:6379", protocol: "redis", description: "The Redis of the nodes." },
};

/** The AsyncAPI 3.0 document. @param version of the gateway */
export function asyncApi(version: string): Json {
  const components = new Components();
  const messages: Record<string, Json> = {};
  const add = (name: string, schema: TSchema, more: Json = {}) => {
    messages[name] = message(name, schema, components, more);
  };
  for (const [name, schema] of Object.entries(COMMANDS))
    add(name, schema, commandExtras(name as CommandName));
  for (const [name, schema] of Object.entries(FRAMES)) add(name, schema);
  for (const [name, schema] of Object.entries(EVENTS)) add(name, schema, binaryNote(name));
  add("streamEvent", Event, { title: "An event in a stream of many channels" });
  add("streamData", DATA, { title: "An event in a stream of one channel" });
  for (const [name, schema] of Object.entries(BLOCKS))
    add(blockName(name), schema, { title: `event: ${name}` });
  add("plain", PLAIN, { title: "A plain Redis PUBLISH" });
  return {
    asyncapi: "3.0.0",
    id: "urn:tidegate",
    info: {
      title: "Tidegate",
      version,
      description: DESCRIPTION,
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
    },
    defaultContentType: JSON_TYPE,
    servers: SERVERS,
    channels: channels(),
    operations: operations(),
    components: {
      messages: sorted(messages),
      schemas: sorted(components.schemas),
      securitySchemes: SECURITY,
    },
  };
}

const SECURITY = {
  bearer: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
    description: "A JWT. Over a WebSocket also the subprotocol `bearer.<token>` or an `auth` frame.",
  },
  token: {
    type: "httpApiKey",
    in: "query",
    name: "token",
    description: "The same in the URL: last resort, since URLs end up in logs.",
  },
  redis: { type: "userPassword", description: "A user of Redis who may PUBLISH to the channel." },
};
const BY_TOKEN = ["bearer", "token"].map((name) => ({ $ref: `#/components/securitySchemes/${name}` }));

const DATA: TSchema = {
  title: "StreamData",
  description: `What was published, byte for byte; bytes as \`{"data_base64":"AP8i"}\`.`,
  examples: [{ text: "hi" }],
} as TSchema;

const PLAIN: TSchema = {
  title: "PlainPayload",
  description:
    "JSON is the data of an event of the type `message`; an object with a string `type` and `data`, and no keys but `type id timestamp data`, is that event. What is not JSON is a string, what is not UTF-8 is bytes. Not kept, without an id, delivered at most once.",
  examples: [{ text: "hi" }],
} as TSchema;

const STREAM_MESSAGES = Object.keys(BLOCKS).map(blockName);

function blockName(event: string): string {
  return `stream${event.charAt(1).toUpperCase()}${event.slice(2)}`;
}

function message(name: string, schema: TSchema, components: Components, more: Json): Json {
  const { title, description, examples } = schema as Json;
  return {
    name,
    title: title ?? name,
    contentType: JSON_TYPE,
    ...(description !== undefined && { summary: description }),
    payload: components.refer(schema),
    ...(Array.isArray(examples) && { examples: examples.map((payload: unknown) => ({ payload })) }),
    ...more,
  };
}

function commandExtras(name: CommandName): Json {
  return { ...binaryNote(name), "x-errors": EXCHANGES[name].errors };
}

function binaryNote(name: string): Json {
  return /binary/i.test(name) ? { contentType: "application/octet-stream" } : {};
}

const inComponents = (name: string) => ({ $ref: `#/components/messages/${name}` });
const inChannel = (channel: string, name: string) => ({ $ref: `#/channels/${channel}/messages/${name}` });
const refer = (names: readonly string[], to: (name: string) => Json) =>
  Object.fromEntries(names.map((name) => [name, to(name)]));

const NAME = { description: "A channel name.", examples: ["chat-123"] };

function channels(): Json {
  const closes = Object.entries(CODES as Record<string, CodeRow>)
    .filter(([, { close }]) => close !== undefined)
    .map(([code, { close, title }]) => `- ${close} \`${code}\`: ${title}.`);
  return {
    webSocket: {
      address: "/ws",
      title: "The WebSocket",
      description: `Subprotocols: ${SUBPROTOCOLS.map((name) => `\`${name}\``).join(", ")}; none is the first. \`bearer.<token>\` beside them carries the token. It is closed with the close code of one of the codes.\n\n${closes.join("\n")}`,
      servers: [{ $ref: "#/servers/node" }],
      messages: refer(
        [...Object.keys(COMMANDS), ...Object.keys(FRAMES), ...Object.keys(EVENTS)],
        inComponents,
      ),
      bindings: { ws: { method: "GET", query: QUERY, bindingVersion: "0.1.0" } },
    },
    channelStream: {
      address: "/v1/channels/{channel}/events",
      title: "The event stream of one channel",
      description: "`event:` is an event's type, `id:` its id, `data:` its data. `Last-Event-ID` resumes.",
      servers: [{ $ref: "#/servers/stream" }],
      parameters: { channel: NAME },
      messages: refer(["streamData", ...STREAM_MESSAGES], inComponents),
    },
    manyStream: {
      address: "/v1/events",
      title: "The event stream of many channels",
      description:
        "`?channel=a&channel=b`. `event:` is an event's type, `id:` a cursor over all channels, `data:` the whole event. `Last-Event-ID` resumes.",
      servers: [{ $ref: "#/servers/stream" }],
      messages: refer(["streamEvent", ...STREAM_MESSAGES], inComponents),
    },
    plainRedis: {
      address: "tidegate:{channel}",
      title: "Plain Redis PUBLISH",
      description: "`tidegate` is TIDEGATE_REDIS_PREFIX.",
      servers: [{ $ref: "#/servers/redis" }],
      parameters: { channel: NAME },
      messages: refer(["plain"], inComponents),
    },
  };
}

const QUERY = {
  type: "object",
  properties: {
    channel: {
      type: "array",
      items: { type: "string" },
      description: "Subscribes at once: each is answered by `subscribed` or `error`.",
    },
    token: { type: "string", description: "The token, where there is no better place for it." },
    cursor: {
      type: "string",
      description: "The cursor of an event stream of these channels in this order: they go on from there.",
    },
    fresh: { type: "string", enum: ["1"], description: "The balancer chooses a node anew." },
  },
};

function operations(): Json {
  const webSocket = { $ref: "#/channels/webSocket" };
  const commands = Object.entries(EXCHANGES).map(([name, { reply, errors }]) => [
    name,
    {
      action: "receive",
      channel: webSocket,
      summary: describe(COMMANDS[name as CommandName]),
      security: BY_TOKEN,
      messages: [inChannel("webSocket", name)],
      reply: {
        channel: webSocket,
        messages: [inChannel("webSocket", reply), inChannel("webSocket", "error")],
      },
      "x-errors": errors,
    },
  ]);
  return {
    ...Object.fromEntries(commands),
    greet: send("webSocket", "The first frame of a connection.", ["welcome"]),
    deliver: send("webSocket", "The events of the channels that are subscribed.", Object.keys(EVENTS)),
    tell: send(
      "webSocket",
      "What is told without being asked: continuity was lost, a subscription ended, the node stops.",
      ["subscribed", "unsubscribed", "closing", "error"],
    ),
    streamChannel: send("channelStream", "The events of one channel.", ["streamData", ...STREAM_MESSAGES]),
    streamMany: send("manyStream", "The events of many channels.", ["streamEvent", ...STREAM_MESSAGES]),
    publishPlain: {
      action: "receive",
      channel: { $ref: "#/channels/plainRedis" },
      summary: "Publishes to whoever is connected, from any Redis client.",
      security: [{ $ref: "#/components/securitySchemes/redis" }],
      messages: [inChannel("plainRedis", "plain")],
    },
  };
}

function describe(schema: TSchema): string | undefined {
  return (schema as { description?: string }).description;
}

function send(channel: string, summary: string, names: readonly string[]): Json {
  return {
    action: "send",
    channel: { $ref: `#/channels/${channel}` },
    summary,
    security: BY_TOKEN,
    messages: names.map((name) => inChannel(channel, name)),
  };
}
