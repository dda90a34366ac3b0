import { type TSchema, Type } from "typebox";
import { COMMANDS } from "../../schema/commands.ts";
import { EVENTS, FRAMES } from "../../schema/frames.ts";
import type { Components } from "../components.ts";
import { JSON_TYPE } from "../operations/operation.ts";
import type { CommandName, FrameName } from "./exchanges.ts";

type Json = Record<string, unknown>;

/** What a channel carries. What is beside its payload, such as the JSON part of a binary frame, is its headers. */
export interface Message {
  readonly title: string;
  readonly summary: string;
  readonly description: string;
  readonly contentType: string;
  readonly headers?: TSchema;
  readonly payload: TSchema;
  readonly examples: readonly { readonly headers?: unknown; readonly payload: unknown }[];
  /** Where its `ref` is, by the name of CORRELATION_IDS. */
  readonly correlationId?: keyof typeof CORRELATION_IDS;
}

const ABOUT_REF = "What comes back in the reply to a command.";
export const CORRELATION_IDS = {
  ref: { location: "$message.payload#/ref", description: ABOUT_REF },
  refOfBinary: { location: "$message.header#/ref", description: `${ABOUT_REF} Of a binary frame.` },
} as const;

const BYTES_TYPE = "application/octet-stream";

/* By AsyncAPI each message of a channel fits exactly one of those that the channel has. */

/** Every command, each with what the others of its `type` do not have. */
export const COMMAND_MESSAGES: Readonly<Record<CommandName, Message>> = {
  auth: frame("Give a token", COMMANDS.auth),
  subscribe: frame("Subscribe to a channel", without(COMMANDS.subscribe, "channels")),
  subscribeMany: frame("Subscribe to many channels", COMMANDS.subscribeMany),
  unsubscribe: frame("End a subscription", COMMANDS.unsubscribe),
  publish: frame("Publish an event", COMMANDS.publish),
  publishShort: frame("Publish an event of the type `message`", without(COMMANDS.publishShort, "event")),
  publishBinary: binaryFrame("Publish bytes", COMMANDS.publishBinary),
  message: frame("Publish in the simplest form", COMMANDS.message),
  history: frame("Read what a channel keeps", COMMANDS.history),
  presence: frame("Ask who is in a channel", COMMANDS.presence),
  ping: frame("Ask for a sign of life", COMMANDS.ping),
};

/*
 * What a node sends overlaps on paper: fields may be added, so that a frame could be imagined that has the `type` of a
 * control frame and all that an event has, or an event with both `data` and `data_base64`. No such frame is ever sent:
 * control words are the types of no event, no control frame has a `timestamp`, and an event has its data once. Schemas
 * that ruled it out would say that three times over, and would not be those of the HTTP API any more.
 */
export const FRAME_MESSAGES: Readonly<Record<FrameName, Message>> = {
  welcome: frame("The connection is open", FRAMES.welcome),
  authenticated: frame("The token was accepted", FRAMES.authenticated),
  subscribed: frame("A channel is subscribed, or has lost events", FRAMES.subscribed),
  unsubscribed: frame("A subscription has ended", FRAMES.unsubscribed),
  published: frame("An event was published", FRAMES.published),
  historyPage: frame("Part of what a channel keeps", FRAMES.historyPage),
  presencePage: frame("Part of who is in a channel", FRAMES.presencePage),
  pong: frame("A sign of life", FRAMES.pong),
  closing: frame("The connection will be closed", FRAMES.closing),
  error: frame("A command failed", FRAMES.error),
};

export const EVENT_MESSAGES: Readonly<Record<keyof typeof EVENTS, Message>> = {
  textEvent: frame("An event", EVENTS.textEvent),
  base64Event: frame("An event with bytes, in JSON", EVENTS.base64Event),
  binaryEvent: binaryFrame("An event with bytes, in a binary frame", EVENTS.binaryEvent),
};

/** A text frame: JSON. */
function frame(summary: string, schema: TSchema): Message {
  const { examples, ...about } = aboutOf(schema);
  return {
    ...about,
    summary,
    contentType: JSON_TYPE,
    payload: schema,
    examples: examples.map((payload) => ({ payload })),
    ...(hasRef(schema) && { correlationId: "ref" }),
  };
}

/** A binary frame. Its JSON part alone would be a text frame of the same type; beside bytes it is none. */
function binaryFrame(summary: string, schema: TSchema): Message {
  const { examples, ...about } = aboutOf(schema);
  return {
    ...about,
    summary,
    contentType: BYTES_TYPE,
    headers: schema,
    payload: Type.Unsafe({
      type: "string",
      format: "binary",
      description: "The bytes behind the JSON part.",
    }),
    // As far as bytes can be shown in JSON: those with which an image begins.
    examples: examples.map((headers) => ({ headers, payload: "GIF89a" })),
    ...(hasRef(schema) && { correlationId: "refOfBinary" }),
  };
}

/** What a schema says of itself. @throws {Error} when it leaves out some of it */
export function aboutOf(schema: TSchema): {
  title: string;
  description: string;
  examples: readonly unknown[];
} {
  const { title, description, examples } = schema as Json;
  if (typeof title !== "string" || typeof description !== "string" || !Array.isArray(examples))
    throw new Error(`${String(title)} has no title, description or examples`);
  return { title, description, examples };
}

/** Of two commands of one type: a frame with this member is the other one. */
function without(schema: TSchema, member: string): TSchema {
  return { ...schema, not: { required: [member] } } as TSchema;
}

function hasRef(schema: TSchema): boolean {
  return "ref" in ((schema as Json).properties as Json);
}

/** As it stands in the document. */
export function messageOf(name: string, message: Message, components: Components): Json {
  const { headers, payload, correlationId, ...rest } = message;
  return {
    name,
    ...rest,
    ...(correlationId && { correlationId: { $ref: `#/components/correlationIds/${correlationId}` } }),
    ...(headers && { headers: components.refer(headers) }),
    payload: components.refer(payload),
  };
}
