import { type TProperties, Type } from "typebox";
import { MAX_CHANNELS_PER_FRAME } from "../protocol/commands.ts";
import { as, channel, data, exclusive, key, publishedType, ref, sender, traceparent } from "./fields.ts";
import { HistoryParameters, MembersParameters, StartParameters } from "./parameters.ts";

/* What clients send, as decode.ts checks it. Fields that are not named are ignored. */

function command<const T extends string, P extends TProperties>(
  type: T,
  properties: P,
  options: Readonly<Record<string, unknown>>,
) {
  const head = { type: Type.Literal(type, { description: `The command \`${type}\`.` }) };
  return Type.Object({ ...head, ref: Type.Optional(ref), ...properties }, options);
}

const Auth = command(
  "auth",
  {
    token: Type.String({
      description: "A JWT, of the user that the connection has if it has one.",
      examples: ["eyJhbGciOiJIUzI1NiJ9.e30.c2ln"],
      "x-error": "bad_frame",
      "x-rule": "`auth` needs a `token`, a string",
    }),
  },
  {
    title: "AuthCommand",
    description:
      "The first token of a connection that came without one, or a fresh one before the old one ends.",
    examples: [{ type: "auth", token: "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", ref: 1 }],
  },
);

const Subscribe = command(
  "subscribe",
  { channel, ...StartParameters.properties },
  {
    title: "SubscribeCommand",
    description:
      "Subscribes to a channel: to what comes next, or behind `since`, or to the `last` events and what comes.",
    examples: [
      { type: "subscribe", channel: "chat-123", ref: 2 },
      { type: "subscribe", channel: "chat-123", since: "43604441b0107ade-6b043420:42", ref: 3 },
    ],
    ...exclusive("since", "last"),
  },
);

const SubscribeMany = command(
  "subscribe",
  {
    channels: Type.Array(
      Type.Object(
        { channel, ...StartParameters.properties },
        {
          description: "One subscription.",
          ...exclusive("since", "last"),
          "x-error": "bad_frame",
          "x-rule": '`channels` is a list of {"channel":…}',
        },
      ),
      {
        minItems: 1,
        maxItems: MAX_CHANNELS_PER_FRAME,
        description: "Each is answered on its own, and counts as a command.",
        "x-error": "bad_frame",
        "x-rule": `\`channels\` is a list of 1 to ${MAX_CHANNELS_PER_FRAME} {"channel":…}`,
      },
    ),
  },
  {
    title: "SubscribeManyCommand",
    description: "Subscribes to many channels in one frame.",
    examples: [
      { type: "subscribe", channels: [{ channel: "chat-123" }, { channel: "news", last: 20 }], ref: 4 },
    ],
  },
);

const Unsubscribe = command(
  "unsubscribe",
  { channel },
  {
    title: "UnsubscribeCommand",
    description: "Ends a subscription. No event of the channel follows the reply.",
    examples: [{ type: "unsubscribe", channel: "chat-123", ref: 5 }],
  },
);

const tracing = { traceparent: Type.Optional(traceparent) };
const publishing = {
  key: Type.Optional(key),
  // Any other value is as good as none: the articles' clients send what they like.
  echo: Type.Optional(
    Type.Unknown({ default: true, description: "`false`: the event does not come back to this connection." }),
  ),
};

const Publish = command(
  "publish",
  {
    channel,
    event: Type.Object(
      { type: Type.Optional(publishedType), data, sender: Type.Optional(sender) },
      { description: "The event.", "x-error": "bad_event", "x-rule": "`event` is an object" },
    ),
    ...publishing,
    ...tracing,
  },
  {
    title: "PublishCommand",
    description: "Publishes an event.",
    examples: [
      { type: "publish", channel: "chat-123", event: { type: "chat.message", data: { text: "hi" } }, ref: 6 },
    ],
  },
);

const PublishShort = command(
  "publish",
  { channel, data, ...publishing, ...tracing },
  {
    title: "PublishShortCommand",
    description: "Publishes an event of the type `message`.",
    examples: [{ type: "publish", channel: "chat-123", data: { text: "hi" } }],
  },
);

const PublishBinary = command(
  "publish",
  {
    channel,
    event: Type.Optional(
      Type.Object(
        { type: Type.Optional(publishedType), sender: Type.Optional(sender) },
        { description: "The event but its data.", "x-error": "bad_event", "x-rule": "`event` is an object" },
      ),
    ),
    ...publishing,
    ...tracing,
  },
  {
    title: "PublishBinaryCommand",
    description:
      "The JSON part of a binary frame: uint16 big endian N, N bytes of this, the payload. Publishes the payload.",
    examples: [{ type: "publish", channel: "chat-123", event: { type: "image" }, ref: 7 }],
  },
);

const Message = command(
  "message",
  {
    channel: Type.Optional(
      as(
        channel,
        "The channel. May be left out when the session has exactly one subscription (`channel_required`).",
      ),
    ),
    data: Type.Optional(as(data, "The data. Without it the keys that are not named here are the data.")),
    ...publishing,
  },
  {
    title: "MessageCommand",
    description: "Publishes an event of the type `message`, in the form that is simplest to write.",
    examples: [{ type: "message", text: "Hi back!" }],
  },
);

const History = command(
  "history",
  { channel, ...HistoryParameters.properties },
  {
    title: "HistoryCommand",
    description:
      "Reads what the channel keeps: the events behind `since`, or the last ones before `before`, or the newest. Needs the grant `history`.",
    examples: [{ type: "history", channel: "chat-123", limit: 20, ref: 8 }],
    ...exclusive("since", "before"),
  },
);

const Presence = command(
  "presence",
  { channel, ...MembersParameters.properties },
  {
    title: "PresenceCommand",
    description: "Asks who is in the channel. Needs the grant `presence`.",
    examples: [{ type: "presence", channel: "room-1", ref: 9 }],
  },
);

const Ping = command(
  "ping",
  {},
  {
    title: "PingCommand",
    description: "Answered by `pong`.",
    examples: [{ type: "ping", ref: 10 }],
  },
);

/** Every command there is, by its name in the documents. */
export const COMMANDS = {
  auth: Auth,
  subscribe: Subscribe,
  subscribeMany: SubscribeMany,
  unsubscribe: Unsubscribe,
  publish: Publish,
  publishShort: PublishShort,
  publishBinary: PublishBinary,
  message: Message,
  history: History,
  presence: Presence,
  ping: Ping,
} as const;
