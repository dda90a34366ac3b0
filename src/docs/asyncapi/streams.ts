import { type TProperties, type TSchema, Type } from "typebox";
import { as, eventId, milliseconds } from "../../schema/fields.ts";
import { EVENTS, Event } from "../../schema/frames.ts";
import { BLOCKS } from "../../schema/stream.ts";
import { cursor } from "../operations/events.ts";
import { JSON_TYPE } from "../operations/operation.ts";
import { aboutOf, type Message } from "./messages.ts";

/*
 * Blocks of an event stream: their payload is what `data:` has, their headers are the lines beside it. By `event:` each is
 * told from all others.
 */

const [announced, ended] = BLOCKS.$closing.anyOf;
const retry = Type.Optional(milliseconds("When to come back. An `EventSource` does so by itself."));

/** Every block of the gateway's own, in each of its forms: `$closing` says that the stream will end, or that it does. */
export const BLOCK_MESSAGES: Readonly<Record<string, Message>> = {
  streamWelcome: block("$welcome", "The stream begins", BLOCKS.$welcome),
  streamLost: block("$lost", "A channel has lost events", BLOCKS.$lost, {
    id: Type.Optional(
      Type.String({
        description:
          "From where the stream goes on: what to come back with. Missing in the stream of a channel that keeps no history.",
      }),
    ),
  }),
  streamClosing: {
    ...block("$closing", "The stream will end: the node stops", announced, { retry }),
    title: "event: $closing, announced",
    description:
      "The stream will end, `grace` milliseconds from now: open the next one with the last `id:` and drop this one, or come back after its end.",
  },
  streamEnded: block("$closing", "The stream ends here", ended, {
    id: Type.Optional(
      Type.Literal("stop", { description: "With a `code` of 4500 or more: nothing is to be had any more." }),
    ),
    retry,
  }),
  streamError: block("$error", "Not now: the stream ends here", BLOCKS.$error, { retry }),
};

const eventName = Type.Unsafe<string>({
  ...as(EVENTS.textEvent.properties.type, "The event's type: the publisher's, or `$join` or `$leave`."),
  not: { enum: Object.keys(BLOCKS) },
});

const PUBLISHED: TSchema = Type.Unknown({
  title: "StreamData",
  description: 'What was published, byte for byte; bytes as `{"data_base64":"AP8i"}`.',
  examples: [{ text: "hi" }],
});

const EXAMPLE_ID = "43604441b0107ade-6b043420:42";

/** Of the stream of one channel. */
export const CHANNEL_EVENT: Message = {
  title: "An event in a stream of one channel",
  summary: "An event of the channel",
  description:
    "What was published is the whole payload; what else there is of the event are the lines beside it.",
  contentType: JSON_TYPE,
  headers: head({
    event: eventName,
    id: Type.Optional(as(eventId, "The event's id. Missing where the channel keeps no history.")),
  }),
  payload: PUBLISHED,
  examples: [
    { headers: { event: "message", id: EXAMPLE_ID }, payload: { text: "hi" } },
    { headers: { event: "image", id: EXAMPLE_ID }, payload: { data_base64: "AP8i" } },
  ],
};

/** Of the stream of many. */
export const MANY_EVENT: Message = {
  title: "An event in a stream of many channels",
  summary: "An event of one of the channels",
  description: "The whole event, as a WebSocket gets it.",
  contentType: JSON_TYPE,
  headers: head({
    event: eventName,
    id: as(cursor, "Where the client is in each of the channels: what to come back with."),
  }),
  payload: Event,
  examples: aboutOf(EVENTS.textEvent).examples.map((payload) => ({
    headers: { event: "message", id: "c10ee2AAABv9Z5AAAAcJvb" },
    payload,
  })),
};

function block(
  event: keyof typeof BLOCKS,
  summary: string,
  schema: TSchema,
  more: TProperties = {},
): Message {
  const { description, examples } = aboutOf(schema);
  return {
    title: `event: ${event}`,
    summary,
    description,
    contentType: JSON_TYPE,
    headers: head({ event: Type.Literal(event, { description: "What kind of block it is." }), ...more }),
    payload: schema,
    examples: examples.map((payload) => ({ headers: { event }, payload })),
  };
}

function head(lines: TProperties): TSchema {
  return Type.Object(lines, { description: "The lines beside `data:`." });
}
