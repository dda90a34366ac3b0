import { type TProperties, Type } from "typebox";
import { CODES, type CodeRow } from "../protocol/codes.ts";
import {
  as,
  channel,
  code,
  connection,
  eventId,
  extensible,
  message,
  milliseconds,
  number,
  ref,
  temporary,
  traceparent,
  user,
} from "./fields.ts";

/* What clients are sent. Fields and types may be added: ignore what you do not know. */

function frame<const T extends string, P extends TProperties>(
  type: T,
  properties: P,
  options: Readonly<Record<string, unknown>>,
) {
  return Type.Object(
    { type: Type.Literal(type, { description: `The frame \`${type}\`.` }), ...properties },
    options,
  );
}

const reply = { ref: Type.Optional(as(ref, "That of the command.")) };
const headId = as(
  eventId,
  "The channel's newest position; on a channel that is empty its offset is 0. Missing when the channel keeps no history.",
);
const listeners = number("nodes", "How many nodes heard it.");

/** Of a WebSocket and of an event stream. */
export const welcomeFields = {
  connection: as(
    connection,
    "The connection's name, as in the logs and as `except` of a publish over HTTP takes it.",
  ),
  node: Type.String({ description: "The node's name." }),
  user: Type.Union([user, Type.Null()], {
    description: "The token's `sub`; null until `auth`, and never in a stream.",
  }),
  expires_in: Type.Union([milliseconds("Until the token ends."), Type.Null()], {
    description: "Until the token ends; null until `auth`, and never in a stream.",
    "x-unit": "milliseconds",
  }),
  heartbeat: milliseconds("Between two pings of the server, or two comments of a stream."),
};

export const EXAMPLE_WELCOME = {
  type: "welcome",
  connection: "kJ3xmA0qT9w2Lc7e",
  node: "node1",
  user: "ann",
  expires_in: 3599000,
  heartbeat: 30000,
};

const Welcome = frame(
  "welcome",
  {
    ...welcomeFields,
    limits: Type.Object(
      {
        frame_bytes: number("bytes", "Of a frame. 0: no limit."),
        channels: number("channels", "Subscriptions of the connection. 0: no limit."),
        commands_per_second: number(
          "commands per second",
          "Four seconds' worth may come at once. 0: no limit.",
        ),
      },
      { description: "The limits of this connection." },
    ),
    features: Type.Array(Type.String({ description: "A feature." }), {
      description: "What this node offers.",
    }),
    reconnect: Type.Object(
      { min: milliseconds("At least so long."), max: milliseconds("At most so long.") },
      { description: "The window in which to come back, at random, after an end that nobody announced." },
    ),
  },
  {
    title: "WelcomeFrame",
    description: "Always the first frame.",
    examples: [
      {
        ...EXAMPLE_WELCOME,
        limits: { frame_bytes: 65536, channels: 100, commands_per_second: 50 },
        features: ["publish", "binary", "history", "resume"],
        reconnect: { min: 500, max: 3750 },
      },
    ],
  },
);

const Authenticated = frame(
  "authenticated",
  { ...reply, user, expires_in: milliseconds("Until the token ends.") },
  {
    title: "AuthenticatedFrame",
    description: "The answer to `auth`.",
    examples: [{ type: "authenticated", ref: 1, user: "ann", expires_in: 3600000 }],
  },
);

/** Why what was missed cannot follow. */
export const lossReason = Type.Unsafe<string>({
  title: "LossReason",
  type: "string",
  ...extensible(["trimmed", "forked", "history_lost", "no_history", "slow_backplane", "subscribed"]),
  description:
    "`trimmed`: it was kept, and is no more. `forked`: Redis went back in time, and what stands there is something else. `history_lost`: Redis has lost it, it was deleted, or the id is not one of this channel's. `no_history`: the channel keeps none. `slow_backplane`: Redis does not give it in time. `subscribed`: the connection is subscribed already, and has missed nothing.",
});

const Subscribed = frame(
  "subscribed",
  {
    ...reply,
    channel,
    id: Type.Optional(headId),
    resumed: Type.Optional(
      Type.Boolean({
        description:
          "After `since` or `last`: whether all that was missed follows. `false` without `ref`, at any time: continuity was lost, reload your state.",
      }),
    ),
    missed: Type.Optional(number("events", "So many events follow that were published before.")),
    reason: Type.Optional(lossReason),
  },
  {
    title: "SubscribedFrame",
    description:
      "The answer to `subscribe`, before every event of its channel; or, without `ref`, that continuity was lost.",
    examples: [
      { type: "subscribed", ref: 2, channel: "chat-123", id: "43604441b0107ade-6b043420:42" },
      {
        type: "subscribed",
        channel: "chat-123",
        id: "c21c64feb45ad04b-5e6d1f00:0",
        resumed: false,
        reason: "forked",
      },
    ],
  },
);

const Unsubscribed = frame(
  "unsubscribed",
  {
    ...reply,
    channel,
    code: Type.Optional(as(code, "Why the server ended it; missing when the client did.")),
  },
  {
    title: "UnsubscribedFrame",
    description: "The answer to `unsubscribe`; or, with `code`, that the server ended a subscription.",
    examples: [{ type: "unsubscribed", ref: 5, channel: "chat-123" }],
  },
);

/** What a publisher is told, by frame or by HTTP. */
export const publishedFields = {
  channel,
  id: Type.Optional(as(eventId, "The event's id. Missing on a channel that keeps no history.")),
  listeners,
  repeated: Type.Optional(
    Type.Boolean({ description: "`true`: the key was used for the same before, nothing was published now." }),
  ),
};

const Published = frame(
  "published",
  { ref: as(ref, "That of the command."), ...publishedFields },
  {
    title: "PublishedFrame",
    description: "The answer to `publish` and `message`. One's own event may come before it.",
    examples: [
      { type: "published", ref: 6, channel: "chat-123", id: "43604441b0107ade-6b043420:43", listeners: 3 },
    ],
  },
);

const eventHead = {
  type: Type.String({
    description:
      "The publisher's type, or one of the gateway's own, which begin with `$`: `$join` and `$leave`.",
    pattern: "^[$A-Za-z][A-Za-z0-9_.:-]{0,64}$",
  }),
  channel,
  id: Type.Optional(as(eventId, "Missing on what was published by plain Redis PUBLISH or is not kept.")),
  timestamp: Type.String({
    pattern: "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,9})?(Z|[+-]\\d\\d:\\d\\d)$",
    description: "When it was published: RFC 3339. Every event has one, and no control frame.",
    examples: ["2026-03-08T14:30:00.123Z"],
  }),
  traceparent: Type.Optional(as(traceparent, "That of the publisher.")),
  sender: Type.Optional(as(user, "Who published it, set by the gateway.")),
};

const EXAMPLE_HEAD = {
  type: "message",
  channel: "chat-123",
  id: "43604441b0107ade-6b043420:42",
  timestamp: "2026-03-08T14:30:00.123Z",
};

const TextEvent = Type.Object(
  {
    ...eventHead,
    data: Type.Unknown({ description: "What was published, byte for byte.", examples: [{ text: "hi" }] }),
  },
  {
    title: "TextEvent",
    description: "An event whose data is JSON.",
    examples: [{ ...EXAMPLE_HEAD, data: { text: "Hello!" }, sender: "ann" }],
  },
);

const Base64Event = Type.Object(
  {
    ...eventHead,
    data_base64: Type.String({ contentEncoding: "base64", description: "The bytes that were published." }),
  },
  {
    title: "Base64Event",
    description: "An event whose data is bytes, for who reads JSON only.",
    examples: [{ ...EXAMPLE_HEAD, type: "image", data_base64: "AP8i" }],
  },
);

const BinaryEvent = Type.Object(eventHead, {
  title: "BinaryEventHead",
  description:
    "The JSON part of a binary frame, for clients that chose `tidegate.v1.binary`: uint16 big endian N, N bytes of this, the payload.",
  examples: [{ ...EXAMPLE_HEAD, type: "image" }],
});

export const Event = Type.Union([TextEvent, Base64Event], {
  title: "Event",
  description: "An event, as it is delivered and kept.",
});

/** Of a page of a channel's history, by frame or by HTTP. */
export const historyFields = {
  channel,
  id: as(eventId, "The channel's newest position."),
  events: Type.Array(Event, { description: "Oldest first; at most `limit` and about 256 KiB." }),
  more: Type.Boolean({ description: "Whether there are others in the direction that was asked for." }),
};

export const EXAMPLE_HISTORY = {
  channel: "chat-123",
  id: "43604441b0107ade-6b043420:42",
  events: [{ ...EXAMPLE_HEAD, data: { text: "Hello!" }, sender: "ann" }],
  more: false,
};

const HistoryPage = frame(
  "history",
  { ref: as(ref, "That of the command."), ...historyFields },
  {
    title: "HistoryFrame",
    description: "The answer to `history`.",
    examples: [{ type: "history", ref: 8, ...EXAMPLE_HISTORY }],
  },
);

/** Of a page of a channel's members, likewise. */
export const presenceFields = {
  channel,
  count: number("users", "How many are there in all."),
  members: Type.Array(
    Type.Object(
      {
        user,
        info: Type.Optional(
          Type.Unknown({
            description: "The claim `info` of the token that the user came with: at most 512 bytes.",
          }),
        ),
      },
      { description: "Somebody who is there." },
    ),
    { description: "In the order of the bytes of their names; at most `limit` and about 256 KiB." },
  ),
  next: Type.Optional(as(user, "The `after` of the next page; missing on the last one.")),
};

export const EXAMPLE_PRESENCE = {
  channel: "room-1",
  count: 2,
  members: [{ user: "ann", info: { name: "Ann" } }, { user: "bob" }],
};

const PresencePage = frame(
  "presence",
  { ref: as(ref, "That of the command."), ...presenceFields },
  {
    title: "PresenceFrame",
    description: "The answer to `presence`.",
    examples: [{ type: "presence", ref: 9, ...EXAMPLE_PRESENCE }],
  },
);

const Pong = frame("pong", reply, {
  title: "PongFrame",
  description: "The answer to `ping`.",
  examples: [{ type: "pong", ref: 10 }],
});

const rows: [string, CodeRow][] = Object.entries(CODES);
const CLOSING = rows.filter(([, { close }]) => close !== undefined);

export const closeCode = Type.Integer({
  minimum: 4000,
  maximum: 4999,
  description: "The close code. 4000–4499: come back; 4500–4999: do not.",
  "x-unit": "WebSocket close code",
});

export const closeReason = Type.Unsafe<string>({
  title: "CloseReason",
  type: "string",
  ...extensible(CLOSING.map(([name]) => name)),
  description: "The code that ends a connection.",
});

export const Closing = frame(
  "closing",
  {
    code: closeCode,
    reason: closeReason,
    reconnect_in: milliseconds("Wait so long before you open the next connection."),
    grace: milliseconds("Until the close, from now. Everything works until then."),
    fresh: Type.Boolean({
      description: "Reconnect with `?fresh=1`, or the balancer may lead back to the node that stops.",
    }),
  },
  {
    title: "ClosingFrame",
    description: "The connection will be closed: open the next one, then drop this one.",
    examples: [
      { type: "closing", code: 4000, reason: "shutting_down", reconnect_in: 2150, grace: 10000, fresh: true },
    ],
  },
);

export const hint = Type.String({ description: "In development mode only: what would have helped." });

const ErrorFrame = frame(
  "error",
  { ...reply, code, message, channel: Type.Optional(channel), temporary, hint: Type.Optional(hint) },
  {
    title: "ErrorFrame",
    description: "A command failed; the connection lives.",
    examples: [
      {
        type: "error",
        ref: 7,
        code: "forbidden",
        message: "nothing allows publish on chat-123",
        channel: "chat-123",
        temporary: false,
      },
    ],
  },
);

/** Every frame of the server, by its name in the documents. */
export const FRAMES = {
  welcome: Welcome,
  authenticated: Authenticated,
  subscribed: Subscribed,
  unsubscribed: Unsubscribed,
  published: Published,
  historyPage: HistoryPage,
  presencePage: PresencePage,
  pong: Pong,
  closing: Closing,
  error: ErrorFrame,
} as const;

/** Every form of an event. */
export const EVENTS = { textEvent: TextEvent, base64Event: Base64Event, binaryEvent: BinaryEvent } as const;
