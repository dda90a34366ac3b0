import { Type } from "typebox";
import { MAX_BATCH_EVENTS, MAX_USER_LENGTH } from "../protocol/commands.ts";
import {
  as,
  channel,
  code,
  data,
  dataBase64,
  eventId,
  except,
  exclusive,
  key,
  message,
  number,
  publishedType,
  sender,
  temporary,
  time,
  traceparent,
  user,
} from "./fields.ts";
import {
  EXAMPLE_HISTORY,
  EXAMPLE_PRESENCE,
  hint,
  historyFields,
  presenceFields,
  publishedFields,
} from "./frames.ts";

/* The bodies and answers of the HTTP API. */

/** Of an event to publish. */
const event = {
  type: Type.Optional(publishedType),
  data: Type.Optional(data),
  data_base64: Type.Optional(dataBase64),
  sender: Type.Optional(sender),
  except: Type.Optional(except),
};
const ONE_DATA = {
  allOf: [
    {
      anyOf: [{ required: ["data"] }, { required: ["data_base64"] }],
      "x-error": "bad_event",
      "x-rule": "`data` (or `data_base64`) is required",
    },
    ...exclusive("data", "data_base64", "bad_event").allOf,
  ],
};

export const PublishBody = Type.Object(event, {
  title: "PublishBody",
  description: "An event to publish. Fields that are not named are ignored.",
  examples: [
    { data: { text: "hi" } },
    { type: "order.paid", data: { order: 7 }, sender: "shop" },
    { type: "image", data_base64: "AP8i" },
  ],
  ...ONE_DATA,
});

export const PublishAnswer = Type.Object(publishedFields, {
  title: "PublishAnswer",
  description: "It was published.",
  examples: [{ channel: "chat-123", id: "43604441b0107ade-6b043420:43", listeners: 3 }],
});

export const HistoryAnswer = Type.Object(historyFields, {
  title: "HistoryAnswer",
  description: "Part of what the channel keeps.",
  examples: [EXAMPLE_HISTORY],
});

export const PresenceAnswer = Type.Object(presenceFields, {
  title: "PresenceAnswer",
  description: "Part of who is in the channel.",
  examples: [EXAMPLE_PRESENCE],
});

export const ConnectionsAnswer = Type.Object(
  {
    user,
    connections: number("connections", "Of the user, on all nodes."),
    nodes: Type.Unsafe<Record<string, number>>({
      type: "object",
      additionalProperties: number("connections", "Of the user on this node."),
      description: "By the node's name.",
    }),
  },
  {
    title: "ConnectionsAnswer",
    description: "Where the user is connected.",
    examples: [{ user: "ann", connections: 3, nodes: { node1: 2, node2: 1 } }],
  },
);

/** Of `jti` and `sub`. */
function name(field: string, description: string) {
  return Type.String({
    minLength: 1,
    maxLength: MAX_USER_LENGTH,
    description,
    "x-error": "bad_frame",
    "x-rule": `\`${field}\` is a string of 1 to ${MAX_USER_LENGTH} characters`,
  });
}

export const RevocationBody = Type.Object(
  {
    jti: Type.Optional(name("jti", "One token: its `jti`.")),
    sub: Type.Optional(name("sub", "All tokens of a user: their `sub`.")),
    before: Type.Optional(
      time(
        "before",
        "With `sub`: tokens issued (`iat`) before then; one without `iat` counts as older than any. Default: up to now, this second included.",
      ),
    ),
    exp: Type.Optional(
      time(
        "exp",
        "The last `exp` that any of these tokens has, not past. The revocation is kept until then; default: for TIDEGATE_REVOCATION_TIME.",
      ),
    ),
  },
  {
    title: "RevocationBody",
    description: "The tokens that are no longer accepted.",
    additionalProperties: false,
    "x-error": "bad_frame",
    "x-rule": "the fields are `jti`, `sub`, `before` and `exp`",
    allOf: [
      {
        oneOf: [{ required: ["jti"] }, { required: ["sub"] }],
        "x-error": "bad_frame",
        "x-rule": "one of `jti` and `sub` is required, and not both",
      },
      {
        dependentRequired: { before: ["sub"] },
        "x-error": "bad_frame",
        "x-rule": "`before` goes with `sub`",
      },
    ],
    examples: [
      { jti: "7f0c", exp: 1790000000 },
      { sub: "ann", before: 1789990000 },
    ],
  },
);

const asked = {
  user,
  action: Type.String({ description: "What was asked for." }),
  channel,
};

export const ExplainAnswer = Type.Union(
  [
    Type.Object(
      {
        ...asked,
        allowed: Type.Boolean({ description: "`true`: they may." }),
        rule: Type.String({ description: "What says so, for people." }),
      },
      { title: "Allowed", description: "Allowed, and by what." },
    ),
    Type.Object(
      {
        ...asked,
        allowed: Type.Boolean({ description: "`false`: they may not." }),
        reason: Type.String({ description: "Why not, for people." }),
        cure: Type.String({ description: "What would allow it, for people." }),
      },
      { title: "Denied", description: "Not allowed, and what would allow it." },
    ),
  ],
  {
    title: "ExplainAnswer",
    description: "Whether the owner of the token may, and which rule says so or would.",
    examples: [
      {
        user: "ann",
        action: "subscribe",
        channel: "chat-123",
        allowed: true,
        rule: 'the token\'s claim channels["chat-*"]',
      },
    ],
  },
);

export const Problem = Type.Object(
  {
    type: Type.String({
      pattern: "^urn:tidegate:problem:[a-z_]+$",
      description: "`urn:tidegate:problem:<code>`; `/docs#<code>` says more.",
    }),
    title: Type.String({ description: "What happened, for people: the same for every problem of its code." }),
    status: Type.Integer({
      minimum: 400,
      maximum: 599,
      description: "The HTTP status.",
      "x-unit": "HTTP status",
    }),
    code,
    detail: Type.Optional(message),
    channel: Type.Optional(channel),
    hint: Type.Optional(hint),
    temporary,
  },
  {
    title: "Problem",
    description: "RFC 9457. Decide by `code`; a temporary one comes with `Retry-After`.",
    examples: [
      {
        type: "urn:tidegate:problem:bad_channel",
        title: "The channel name is malformed",
        status: 400,
        code: "bad_channel",
        temporary: false,
      },
    ],
  },
);

export const BatchEvent = Type.Object(
  {
    channel,
    ...event,
    key: Type.Optional(key),
    traceparent: Type.Optional(traceparent),
  },
  {
    title: "BatchEvent",
    description: "An event to publish, at most TIDEGATE_MAX_FRAME_BYTES of JSON.",
    ...ONE_DATA,
    "x-error": "bad_event",
    "x-rule": "an event is an object",
  },
);

const EVENTS = {
  minItems: 1,
  maxItems: MAX_BATCH_EVENTS,
  description: "Those of one channel are published in this order.",
  "x-error": "bad_frame",
  "x-rule": `\`events\` is a list of 1 to ${MAX_BATCH_EVENTS} events`,
};

export const BatchBody = Type.Object(
  { events: Type.Array(BatchEvent, EVENTS) },
  {
    title: "BatchBody",
    description: "Events to publish. Fields that are not named are ignored.",
    examples: [
      {
        events: [
          { channel: "chat-123", data: { text: "hi" } },
          { channel: "news", data: 1, key: "n-1" },
        ],
      },
    ],
  },
);

/** A batch whose events are not looked at: what is wrong with one is told in its place. */
export const BatchEnvelope = Type.Object({ events: Type.Array(Type.Unknown(), EVENTS) });

const EXAMPLE_RESULT = {
  status: 201,
  channel: "chat-123",
  id: "43604441b0107ade-6b043420:43",
  listeners: 3,
};

const BatchResult = Type.Object(
  {
    status: Type.Literal(201, { description: "It was published.", "x-unit": "HTTP status" }),
    ...publishedFields,
  },
  { title: "BatchResult", description: "What was published.", examples: [EXAMPLE_RESULT] },
);

export const BatchAnswer = Type.Object(
  {
    results: Type.Array(Type.Union([BatchResult, Problem], { description: "Of one event." }), {
      description: "In the order of the events.",
    }),
  },
  {
    title: "BatchAnswer",
    description: "What became of each event.",
    examples: [{ results: [EXAMPLE_RESULT] }],
  },
);

export const ForgetAnswer = Type.Object(
  { channel, id: as(eventId, "Where the channel begins anew.") },
  {
    title: "ForgetAnswer",
    description: "The history is gone.",
    examples: [{ channel: "chat-123", id: "c21c64feb45ad04b-5e6d1f00:0" }],
  },
);

export const ChannelsAnswer = Type.Object(
  {
    channels: Type.Array(
      Type.Object(
        { channel, subscribers: number("connections", "On all nodes; some seconds old.") },
        { description: "A channel that somebody is subscribed to." },
      ),
      { description: "By name; at most `limit`." },
    ),
    next: Type.Optional(as(channel, "The `after` of the next page; missing on the last one.")),
  },
  {
    title: "ChannelsAnswer",
    description: "Channels that somebody is subscribed to.",
    examples: [{ channels: [{ channel: "chat-123", subscribers: 3 }] }],
  },
);
