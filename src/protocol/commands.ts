import { isChannel } from "./channel.ts";
import { RequestError } from "./codes.ts";
import { isEventType } from "./event.ts";
import { checkComplexity, isObject, type JsonLimits, type Member, member, members, parse } from "./json.ts";

/** Comes back in the reply: an integer from 0 to 2⁵³ − 1, or a string of up to 64 characters. */
export type Ref = number | string;

export interface Publish {
  readonly type: "publish";
  readonly ref: Ref | undefined;
  /** Left out only in the articles' `message` form. */
  readonly channel: string | undefined;
  readonly eventType: string;
  /** JSON text exactly as the client wrote it, or the bytes of a binary frame. */
  readonly data: string | Uint8Array;
  /** False: not to the connection that publishes. */
  readonly echo: boolean;
  /** Who the event says it is from; needs the grant `publish_as`. */
  readonly sender: string | undefined;
}

export type Command =
  | { readonly type: "auth"; readonly ref: Ref | undefined; readonly token: string }
  | { readonly type: "subscribe"; readonly ref: Ref | undefined; readonly channels: readonly string[] }
  | { readonly type: "unsubscribe"; readonly ref: Ref | undefined; readonly channel: string }
  | Publish
  | { readonly type: "ping"; readonly ref: Ref | undefined };

/** A frame that is no command. `ref` is what could be read of it. */
export class CommandError extends RequestError {
  readonly ref: Ref | undefined;
  constructor({ code, message, channel, hint, reason }: RequestError, ref: Ref | undefined) {
    super(code, message, { channel, hint, reason });
    this.ref = ref;
  }
}

/** Channels in one `subscribe` frame. */
export const MAX_CHANNELS_PER_FRAME = 1000;

/**
 * A client's frame as a command. With `payload` the text is the JSON part of a binary frame.
 * @throws {CommandError} naming the field and the rule
 */
export function decodeCommand(text: string, limits: JsonLimits, payload?: Uint8Array): Command {
  const frame = parse(text);
  if (!isObject(frame))
    throw new CommandError(new RequestError("bad_frame", "a frame is one JSON object"), undefined);
  const ref = isRef(frame.ref) ? frame.ref : undefined;
  try {
    if (frame.ref !== undefined && ref === undefined) {
      throw new RequestError(
        "bad_frame",
        "`ref` is an integer from 0 to 2^53-1 or a string of up to 64 characters",
      );
    }
    checkComplexity(text, limits);
    return decode(frame, ref, text, payload);
  } catch (error) {
    throw error instanceof RequestError ? new CommandError(error, ref) : error;
  }
}

/** The `ref` of a frame that is not looked at further. */
export function refOf(text: string): Ref | undefined {
  const frame = parse(text);
  return isObject(frame) && isRef(frame.ref) ? frame.ref : undefined;
}

function isRef(ref: unknown): ref is Ref {
  return typeof ref === "number"
    ? Number.isSafeInteger(ref) && ref >= 0
    : typeof ref === "string" && ref.length <= 64;
}

function decode(
  frame: Record<string, unknown>,
  ref: Ref | undefined,
  text: string,
  payload?: Uint8Array,
): Command {
  if (payload && frame.type !== "publish") {
    throw new RequestError("bad_frame", "a binary frame carries a `publish`");
  }
  switch (frame.type) {
    case "auth":
      if (typeof frame.token !== "string")
        throw new RequestError("bad_frame", "`auth` needs a `token`, a string");
      return { type: "auth", ref, token: frame.token };
    case "subscribe":
      return { type: "subscribe", ref, channels: subscribeChannels(frame) };
    case "unsubscribe":
      return { type: "unsubscribe", ref, channel: channelOf(frame) };
    case "publish":
      return decodePublish(frame, ref, text, payload);
    case "message":
      return decodeMessage(frame, ref, text);
    case "ping":
      return { type: "ping", ref };
    case "history":
    case "presence":
    case "job":
      throw new RequestError("not_supported", `\`${frame.type}\` is not offered by this node`);
    default:
      throw new RequestError("unknown_type");
  }
}

function channelOf(frame: Record<string, unknown>): string {
  if (!isChannel(frame.channel)) throw new RequestError("bad_channel");
  return frame.channel;
}

function subscribeChannels(frame: Record<string, unknown>): string[] {
  const { channels } = frame;
  if (channels === undefined) return [oneSubscription(frame)];
  if (!Array.isArray(channels) || channels.length === 0 || channels.length > MAX_CHANNELS_PER_FRAME) {
    throw new RequestError(
      "bad_frame",
      `\`channels\` is a list of 1 to ${MAX_CHANNELS_PER_FRAME} {"channel":…}`,
    );
  }
  return channels.map((item) => {
    if (!isObject(item)) throw new RequestError("bad_frame", '`channels` is a list of {"channel":…}');
    return oneSubscription(item);
  });
}

function oneSubscription(item: Record<string, unknown>): string {
  const channel = channelOf(item);
  if (item.since !== undefined || item.last !== undefined) {
    throw new RequestError(
      "not_supported",
      "`since` and `last` need history, which this node does not keep",
      { channel },
    );
  }
  return channel;
}

function decodePublish(
  frame: Record<string, unknown>,
  ref: Ref | undefined,
  text: string,
  payload?: Uint8Array,
): Publish {
  const channel = channelOf(frame);
  const fields = members(text);
  const { event } = frame;
  if (event !== undefined && !isObject(event))
    throw new RequestError("bad_event", "`event` is an object", { channel });
  const eventFields = event ? members(member(fields, "event") as string) : fields;
  const data = payload ?? member(eventFields, "data");
  if (data === undefined) throw new RequestError("bad_event", "`data` is required", { channel });
  return {
    type: "publish",
    ref,
    channel,
    eventType: eventTypeOf(event?.type, channel),
    data,
    echo: echoOf(frame),
    sender: senderOf(event?.sender, channel),
  };
}

/** The articles' form: `{"type":"message","text":"Hi back!"}`; without `data` the remaining keys are the data. */
function decodeMessage(frame: Record<string, unknown>, ref: Ref | undefined, text: string): Publish {
  const fields = members(text);
  return {
    type: "publish",
    ref,
    channel: frame.channel === undefined ? undefined : channelOf(frame),
    eventType: "message",
    data: member(fields, "data") ?? remainder(fields),
    echo: echoOf(frame),
    sender: undefined,
  };
}

const PROTOCOL_FIELDS = new Set(["type", "ref", "channel", "key", "echo"]);

function remainder(fields: readonly Member[]): string {
  const rest = fields.filter((m) => !PROTOCOL_FIELDS.has(m.key));
  return `{${rest.map((m) => `${m.rawKey}:${m.value}`).join(",")}}`;
}

function echoOf(frame: Record<string, unknown>): boolean {
  if (frame.key !== undefined) {
    throw new RequestError("not_supported", "`key` needs history, which this node does not keep");
  }
  return frame.echo !== false;
}

/** The type of an event to publish; `message` when none is given. @throws {RequestError} bad_event */
export function eventTypeOf(type: unknown, channel: string): string {
  if (type === undefined) return "message";
  if (!isEventType(type)) {
    throw new RequestError(
      "bad_event",
      "`type` matches [A-Za-z][A-Za-z0-9_.:-]{0,63} and is not a control word",
      { channel },
    );
  }
  return type;
}

/** The sender that an event asks to show. @throws {RequestError} bad_event */
export function senderOf(sender: unknown, channel: string): string | undefined {
  if (sender === undefined) return undefined;
  if (typeof sender !== "string" || sender.length === 0 || sender.length > 256) {
    throw new RequestError("bad_event", "`sender` is a string of 1 to 256 characters", { channel });
  }
  return sender;
}
