import { type TSchema, Type } from "typebox";
import { CONTROL_WORDS, EVENT_TYPE } from "../../protocol/event.ts";
import { TRACEPARENT } from "../../protocol/traceparent.ts";
import { as, data, eventId, publishedType, traceparent } from "../../schema/fields.ts";
import { EVENTS } from "../../schema/frames.ts";
import { JSON_TYPE } from "../operations/operation.ts";
import { aboutOf, type Message } from "./messages.ts";

/* What any client of Redis may publish: by PUBLISH, which keeps nothing, or by a function, which does what the API does. */

/** Nothing is refused here for its form, so the fields name no code. */
const PlainEvent = Type.Object(
  {
    type: Type.Unsafe<string>({
      type: "string",
      pattern: EVENT_TYPE.source,
      not: { enum: [...CONTROL_WORDS] },
      description: "The event's type: no control word.",
    }),
    id: Type.Optional(Type.Unknown({ description: "Ignored: ids are the gateway's." })),
    timestamp: Type.Optional(
      as(EVENTS.textEvent.properties.timestamp, "RFC 3339. Missing: each node puts its own clock's."),
    ),
    traceparent: Type.Optional(
      Type.String({
        pattern: TRACEPARENT.source,
        description: "Where the event belongs in the publisher's trace (W3C Trace Context).",
      }),
    ),
    data: Type.Unknown({ description: "Any JSON value." }),
  },
  {
    title: "PlainEvent",
    description:
      "An object with a string `type` and `data`, and no other keys than these, is delivered as that event.",
    additionalProperties: false,
    examples: [{ type: "chat.message", data: { text: "hi" } }],
  },
);

const PlainPayload: TSchema = Type.Unsafe({
  title: "PlainPayload",
  description:
    "What is no `PlainEvent` is the data of an event of the type `message`: JSON as it is, what is not JSON as a string, what is not UTF-8 as bytes. An object with a reserved or malformed type, or a timestamp that is not RFC 3339, is such data too.",
  not: PlainEvent,
  examples: [{ text: "hi" }],
});

const FunctionArguments = Type.Object(
  {
    type: Type.Union([publishedType, Type.Literal("")], {
      description: "`<type>`. May be empty for `message`.",
      "x-error": "bad_event",
    }),
    key: Type.Optional(
      Type.String({
        maxLength: 128,
        description:
          "`<key>`: an idempotency key of 1–128 bytes, remembered for five minutes; empty for none in front of a `<traceparent>`. The same event under it is not published again, and its first id is returned.",
        examples: ["order-7/created"],
        "x-error": "bad_key",
      }),
    ),
    traceparent: Type.Optional(as(traceparent, "`<traceparent>`: as in a publish frame.")),
  },
  { description: "The arguments beside `<data>`." },
);

const FunctionAnswer: TSchema = Type.Union([eventId, Type.Literal("")], {
  title: "FunctionAnswer",
  description: "The event's id; empty on a channel that keeps no history.",
  examples: ["43604441b0107ade-6b043420:43", ""],
});

export const REDIS_MESSAGES = {
  plain: plain("PUBLISH: any payload", "Publish data, not kept", PlainPayload),
  plainEvent: plain("PUBLISH: an event", "Publish an event, not kept", PlainEvent),
  kept: {
    title: "FCALL tidegate_publish",
    summary: "Publish an event that is kept",
    description:
      "`FCALL tidegate_publish 1 tidegate:<channel> <type> <data> [<key> [<traceparent>]]`. The payload is `<data>`, strict JSON in UTF-8, at most TIDEGATE_MAX_FRAME_BYTES.",
    contentType: JSON_TYPE,
    headers: FunctionArguments,
    payload: as(
      data,
      "`<data>`: any JSON value. It reaches the subscribers exactly as it was written, byte for byte.",
    ),
    examples: [
      { headers: { type: "" }, payload: { text: "hi" } },
      { headers: { type: "order.paid", key: "order-7/created" }, payload: { order: 7 } },
    ],
  },
  keptAnswer: {
    ...aboutOf(FunctionAnswer),
    title: "The answer of tidegate_publish",
    summary: "The event was published",
    contentType: JSON_TYPE,
    payload: FunctionAnswer,
    examples: aboutOf(FunctionAnswer).examples.map((payload) => ({ payload })),
  },
} as const satisfies Readonly<Record<string, Message>>;

function plain(title: string, summary: string, schema: TSchema): Message {
  const { description, examples } = aboutOf(schema);
  return {
    title,
    summary,
    description: `${description} Not kept, without an id, delivered at most once.`,
    contentType: JSON_TYPE,
    payload: schema,
    examples: examples.map((payload) => ({ payload })),
  };
}
