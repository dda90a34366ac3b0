import { Type } from "typebox";
import { CHANNEL_NAME } from "../protocol/channel.ts";
import { CODES, type Code } from "../protocol/codes.ts";
import {
  CONNECTION_NAME,
  DEFAULT_LIMIT,
  IDEMPOTENCY_KEY,
  MAX_LIMIT,
  MAX_USER_LENGTH,
} from "../protocol/commands.ts";
import { CONTROL_WORDS, EVENT_TYPE } from "../protocol/event.ts";
import { TRACEPARENT } from "../protocol/traceparent.ts";

/*
 * The fields that frames, bodies and answers are made of. A schema is JSON Schema 2020-12 with these words of ours:
 *
 * `title`       its name among the components of a document; one without stands where it is used
 * `x-unit`      what a number counts
 * `x-error`     the code that answers a value that does not fit; `x-rule` the message, where it is not the code's title
 * `x-position`  a string whose digits are an integer up to 2^53-1
 * `x-base64`    base64 as an encoder writes it, with its padding: what is left to guess, two decoders guess differently
 * `x-extensible-enum`  the values that there are; others may come, so that a client must not refuse them
 *
 * Lengths count UTF-16 units, as JavaScript does; patterns are read with the flag `u`.
 */

/** Not `enum`, or a generated client breaks with the first value that is new. */
export function extensible(values: readonly string[]) {
  return { "x-extensible-enum": values, examples: values.slice(0, 1) };
}

/** Another description for what is said of it where it is used. */
export function as<T extends object>(schema: T, description: string): T {
  return { ...schema, description };
}

export const channel = Type.String({
  title: "ChannelName",
  pattern: CHANNEL_NAME.source,
  description: "A channel: 1–200 characters of `A–Z a–z 0–9 _ - . :`, the first a letter or digit.",
  examples: ["chat-123"],
  "x-error": "bad_channel",
});

export const eventId = Type.String({
  title: "EventId",
  // As in protocol/position.ts, without classes of Unicode, which the regular expressions of other languages do not have.
  pattern: "^[^\\x00-\\x1f\\x7f-\\x9f]{1,128}:[0-9]{1,16}$",
  description:
    "A place in a channel's history, `<epoch>-<check>:<offset>`. Compare it for equality; the integer behind the last `:` (up to 2^53-1) rises by one with each event of the channel.",
  examples: ["43604441b0107ade-6b043420:42"],
  "x-position": true,
  "x-error": "bad_since",
});

function knownId(name: string, description: string) {
  return { ...as(eventId, description), "x-rule": `\`${name}\` is the id of an event: <text>:<digits>` };
}

export const since = knownId("since", "The id of the last event that you have: what follows it is wanted.");
export const before = knownId("before", "The id of an event: what came before it is wanted.");

function count(name: string, description: string, more: { default?: number } = {}) {
  return Type.Integer({
    minimum: 1,
    maximum: MAX_LIMIT,
    description,
    ...more,
    "x-unit": name === "limit" ? "items" : "events",
    "x-error": "bad_limit",
    "x-rule": `\`${name}\` is an integer from 1 to ${MAX_LIMIT}`,
  });
}

export const limit = count("limit", "At most so many, and about 256 KiB.", { default: DEFAULT_LIMIT });
export const last = count("last", "So many of the last events that are kept, about a megabyte at most.");

export const after = Type.String({
  minLength: 1,
  maxLength: MAX_USER_LENGTH,
  description: "A user: whose names come behind are wanted. The `next` of the page before.",
  "x-error": "bad_frame",
  "x-rule": "`after` is a user, the `next` of the page before",
});

export const ref = Type.Union(
  [Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }), Type.String({ maxLength: 64 })],
  {
    title: "Ref",
    description:
      "Comes back in the reply: an integer from 0 to 2^53-1 or a string of up to 64 characters (UTF-16 units). Without it only errors are answered, and `auth` and `ping`.",
    examples: [7, "r1"],
    "x-error": "bad_frame",
    "x-rule": "`ref` is an integer from 0 to 2^53-1 or a string of up to 64 characters",
  },
);

export const publishedType = Type.Unsafe<string>({
  title: "PublishedType",
  type: "string",
  pattern: EVENT_TYPE.source,
  not: { enum: [...CONTROL_WORDS] },
  default: "message",
  description: `The type of an event to publish: no control word (${[...CONTROL_WORDS].join(", ")}), and nothing that begins with \`$\`.`,
  examples: ["chat.message"],
  "x-error": "bad_event",
  "x-rule": "`type` matches [A-Za-z][A-Za-z0-9_.:-]{0,63} and is not a control word",
});

/** Of an event that is published. */
export const sender = Type.String({
  minLength: 1,
  maxLength: 256,
  description:
    "Who the event says it is from, 1–256 characters (UTF-16 units). Another than yourself needs the grant `publish_as`.",
  "x-error": "bad_event",
  "x-rule": "`sender` is a string of 1 to 256 characters",
});

export const connection = Type.String({
  pattern: CONNECTION_NAME.source,
  description: "The name of a connection.",
  examples: ["kJ3xmA0qT9w2Lc7e"],
});

/** Of an event that is published over HTTP. */
export const except = {
  ...as(
    connection,
    "The event does not come to this connection: the `connection` of its `welcome`, or of a stream's `$welcome`.",
  ),
  "x-error": "bad_event",
  "x-rule": "`except` is the name of a connection, as its welcome tells it",
};

export const data = Type.Unknown({
  description: "Any JSON value. It reaches the subscribers exactly as it was written, byte for byte.",
  examples: [{ text: "hi" }],
  "x-error": "bad_event",
  "x-rule": "`data` is required",
});

export const dataBase64 = Type.String({
  contentEncoding: "base64",
  // Groups of four in a pattern would keep a place to go back to for each, and run out of stack after 4 MiB.
  pattern: "^[A-Za-z0-9+/]*={0,2}$",
  "x-base64": true,
  description: "Bytes, instead of `data`: a binary payload.",
  examples: ["AP8i"],
  "x-error": "bad_event",
  "x-rule": "`data_base64` is base64 (RFC 4648, section 4)",
});

export const key = Type.String({
  pattern: IDEMPOTENCY_KEY.source,
  description:
    "An idempotency key: 1–128 printable ASCII characters without spaces, remembered for five minutes, per channel and user. The same event under it is not published again; another one is `key_reused`.",
  examples: ["order-7/created"],
  "x-error": "bad_key",
});

export const traceparent = Type.String({
  pattern: TRACEPARENT.source,
  description: "Where the event belongs in the publisher's trace (W3C Trace Context).",
  examples: ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
  "x-error": "bad_event",
  "x-rule": "`traceparent` is a W3C trace context, `00-…-…-01`",
});

export const user = Type.String({
  title: "User",
  minLength: 1,
  maxLength: MAX_USER_LENGTH,
  description: "A user, the `sub` of their tokens: 1–256 characters (UTF-16 units).",
  examples: ["ann"],
  "x-error": "bad_frame",
});

export const code = Type.Unsafe<string>({
  title: "Code",
  type: "string",
  ...extensible(Object.keys(CODES)),
  description:
    "What happened. New codes may come: treat an unknown one by its status or by the range of its close code.",
});

export const message = Type.String({ description: "Which rule was broken, for people. May be reworded." });

export const temporary = Type.Boolean({
  description: "Whether the same can succeed later without being changed.",
});

/** A number of milliseconds, relative to now: no clock of the client is needed. */
export function milliseconds(description: string) {
  return Type.Integer({ minimum: 0, description, "x-unit": "milliseconds" });
}

export function number(unit: string, description: string, more: { minimum?: number } = {}) {
  return Type.Integer({ minimum: 0, description, ...more, "x-unit": unit });
}

/** Seconds since the epoch, as in the claims of a token. */
export function time(name: string, description: string) {
  return Type.Number({
    minimum: 0,
    exclusiveMaximum: 1e11,
    description,
    "x-unit": "seconds since the epoch",
    "x-error": "bad_frame",
    "x-rule": `\`${name}\` is a time in seconds since the epoch`,
  });
}

/** Of an object whose `one` and `other` cannot both be given. */
export function exclusive(one: string, other: string, code: Code = "bad_frame") {
  return {
    allOf: [
      {
        not: { type: "object", required: [one, other] },
        "x-error": code,
        "x-rule": `\`${one}\` and \`${other}\` exclude each other`,
      },
    ],
  };
}
