import { CODES, type CodeRow } from "../../protocol/codes.ts";
import { SUBPROTOCOLS } from "../../protocol/frames.ts";
import { Components } from "../components.ts";
import { sorted } from "../openapi.ts";
import { JSON_TYPE } from "../operations/operation.ts";
import { streamBinding, webSocketBinding } from "./bindings.ts";
import { type CommandName, EXCHANGES, FUNCTION_ERRORS } from "./exchanges.ts";
import {
  COMMAND_MESSAGES,
  CORRELATION_IDS,
  EVENT_MESSAGES,
  FRAME_MESSAGES,
  type Message,
  messageOf,
} from "./messages.ts";
import { REDIS_MESSAGES } from "./redis.ts";
import { SECURITY_SCHEMES, SERVERS, type SecurityName, type ServerName } from "./servers.ts";
import { BLOCK_MESSAGES, CHANNEL_EVENT, MANY_EVENT } from "./streams.ts";

type Json = Record<string, unknown>;

const DESCRIPTION = `What a client and a node say to each other over a WebSocket, what an event stream (SSE) brings, and what may be published through Redis. Operations are seen from the gateway: it *receives* commands and *sends* frames. The HTTP API is in the OpenAPI document, \`/openapi.json\`; both are shown at \`/docs\`.

Each frame is one JSON object. Ignore fields and types that you do not know: within version 1 they are added, never changed. All durations are milliseconds and relative. Only the range of a close code decides whether to come back: 4000–4499 yes, 4500–4999 no.

A WebSocket is two channels here, one for each direction. The JSON part of a binary frame is its message's headers, the bytes behind it are the payload; in an event stream the headers are the lines \`event:\`, \`id:\` and \`retry:\` of a block, the payload is its \`data:\`.`;

/** All messages, by the channels that carry them. */
const CARRIED = {
  commands: COMMAND_MESSAGES,
  frames: { ...FRAME_MESSAGES, ...EVENT_MESSAGES },
  channelStream: { streamData: CHANNEL_EVENT, ...BLOCK_MESSAGES },
  manyStream: { streamEvent: MANY_EVENT, ...BLOCK_MESSAGES },
  plainRedis: { plain: REDIS_MESSAGES.plain, plainEvent: REDIS_MESSAGES.plainEvent },
  functionRedis: { kept: REDIS_MESSAGES.kept },
  functionAnswers: { keptAnswer: REDIS_MESSAGES.keptAnswer },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Message>>>>;
type ChannelName = keyof typeof CARRIED;

/** The AsyncAPI 3.0 document. @param version of the gateway */
export function asyncApi(version: string): Json {
  const components = new Components();
  const messages = Object.fromEntries(
    Object.values(CARRIED).flatMap((carried) =>
      Object.entries(carried).map(([name, message]) => [name, messageOf(name, message, components)]),
    ),
  );
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
    channels: channels(components),
    operations: operations(components),
    components: {
      messages: sorted(messages),
      schemas: sorted(components.schemas),
      securitySchemes: SECURITY_SCHEMES,
      correlationIds: CORRELATION_IDS,
    },
  };
}

const CHANNEL_NAME = { channel: { description: "A channel name.", examples: ["chat-123"] } };
const REDIS_ADDRESS = { address: "tidegate:{channel}", parameters: CHANNEL_NAME };
const PREFIX = "`tidegate` is TIDEGATE_REDIS_PREFIX.";
const FIRST_BLOCKS =
  "The first block has only `retry:` and the `id:` at which the stream begins, the second is `$welcome`. A block with only an `id:` moves the client on past an event that it asked not to hear (`except`).";

function channels(components: Components): Readonly<Record<ChannelName, Json>> {
  const closes = Object.entries(CODES as Record<string, CodeRow>)
    .filter(([, { close }]) => close !== undefined)
    .map(([code, { close, title }]) => `- ${close} \`${code}\`: ${title}.`);
  const handshake = `Subprotocols: ${SUBPROTOCOLS.map((name) => `\`${name}\``).join(", ")}; none is the first. \`bearer.<token>\` beside them carries the token.`;
  const webSocket = { address: "/ws", bindings: webSocketBinding(components) };
  return {
    commands: channel("commands", ["node", "balancer"], {
      ...webSocket,
      title: "The WebSocket, client to server",
      description: handshake,
    }),
    frames: channel("frames", ["node", "balancer"], {
      ...webSocket,
      title: "The WebSocket, server to client",
      description: `${handshake} It is closed with the close code of one of the codes.\n\n${closes.join("\n")}`,
    }),
    channelStream: channel("channelStream", ["nodeStreams", "balancerStreams"], {
      address: "/v1/channels/{channel}/events",
      title: "The event stream of one channel",
      description: `Asked for with \`Accept: text/event-stream\`. \`event:\` is an event's type, \`id:\` its id, \`data:\` its data. \`Last-Event-ID\` resumes. ${FIRST_BLOCKS}`,
      parameters: CHANNEL_NAME,
    }),
    manyStream: channel("manyStream", ["nodeStreams", "balancerStreams"], {
      address: "/v1/events",
      title: "The event stream of many channels",
      description: `\`?channel=a&channel=b\`. \`event:\` is an event's type, \`id:\` a cursor over all channels, \`data:\` the whole event. \`Last-Event-ID\` resumes. ${FIRST_BLOCKS}`,
    }),
    plainRedis: channel("plainRedis", ["redis"], {
      ...REDIS_ADDRESS,
      title: "Redis: a plain PUBLISH, which keeps nothing",
      description: `\`PUBLISH tidegate:<channel> <payload>\`. Delivered at most once, to whoever is connected: no history, no id, nothing to resume from. What is to be kept goes by \`FCALL tidegate_publish\`, or by the HTTP API. Over TIDEGATE_MAX_FRAME_BYTES it is refused: counted in \`tidegate_payloads_refused_total\`, and logged. ${PREFIX}`,
    }),
    functionRedis: channel("functionRedis", ["redis"], {
      ...REDIS_ADDRESS,
      title: "Redis: a function, which keeps what is published",
      description: `\`FCALL tidegate_publish 1 tidegate:<channel> <type> <data> [<key> [<traceparent>]]\`, from any client of Redis 7 or Valkey. Publishes like the API: with an id and Redis's own time, kept in the channel's history (TIDEGATE_HISTORY), so that clients resume past it. ${PREFIX} The nodes load the function.`,
    }),
    functionAnswers: channel("functionAnswers", ["redis"], {
      title: "Redis: what the function returns",
      description:
        "On the connection that called it. What is refused is an error that begins `TIDEGATE <code>`.",
    }),
  };
}

function channel(name: ChannelName, servers: readonly ServerName[], about: Json): Json {
  const messages = Object.keys(CARRIED[name]).map((one) => [one, { $ref: `#/components/messages/${one}` }]);
  return {
    ...about,
    servers: servers.map((server) => ({ $ref: `#/servers/${server}` })),
    messages: Object.fromEntries(messages),
  };
}

const BY_TOKEN: readonly SecurityName[] = ["bearer", "token"];

function operations(components: Components): Json {
  const commands = Object.entries(EXCHANGES).map(([name, { reply, errors }]) => [
    name,
    operation("receive", "commands", [name], BY_TOKEN, {
      summary: COMMAND_MESSAGES[name as CommandName].summary,
      description: COMMAND_MESSAGES[name as CommandName].description,
      reply: to("frames", [reply, "error"]),
      "x-errors": errors,
    }),
  ]);
  return {
    ...Object.fromEntries(commands),
    greet: operation("send", "frames", ["welcome"], BY_TOKEN, {
      summary: "The first frame of a connection.",
    }),
    deliver: operation("send", "frames", Object.keys(EVENT_MESSAGES), BY_TOKEN, {
      summary: "The events of the channels that are subscribed.",
    }),
    tell: operation("send", "frames", ["subscribed", "unsubscribed", "closing", "error"], BY_TOKEN, {
      summary: "What is told without being asked: continuity was lost, a subscription ended, the node stops.",
    }),
    streamChannel: operation("send", "channelStream", Object.keys(CARRIED.channelStream), BY_TOKEN, {
      summary: "The events of one channel.",
      bindings: streamBinding("readEvents", components, ["last_event_id", "last"]),
    }),
    streamMany: operation("send", "manyStream", Object.keys(CARRIED.manyStream), BY_TOKEN, {
      summary: "The events of many channels.",
      bindings: streamBinding("follow", components),
    }),
    publishPlain: operation("receive", "plainRedis", Object.keys(CARRIED.plainRedis), ["redis"], {
      summary: "Publishes to whoever is connected, from any Redis client. Not kept, without an id.",
    }),
    publishKept: operation("receive", "functionRedis", ["kept"], ["redis"], {
      summary: "Publishes from any Redis client, kept and with an id.",
      reply: to("functionAnswers", ["keptAnswer"]),
      "x-errors": FUNCTION_ERRORS,
    }),
  };
}

function operation(
  action: "receive" | "send",
  channel: ChannelName,
  messages: readonly string[],
  security: readonly SecurityName[],
  more: Json,
): Json {
  return {
    action,
    ...to(channel, messages),
    security: security.map((name) => ({ $ref: `#/components/securitySchemes/${name}` })),
    ...more,
  };
}

function to(channel: ChannelName, messages: readonly string[]): Json {
  return {
    channel: { $ref: `#/channels/${channel}` },
    messages: messages.map((name) => ({ $ref: `#/channels/${channel}/messages/${name}` })),
  };
}
