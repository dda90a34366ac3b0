import { isChannel } from "./channel.ts";
import { RequestError } from "./codes.ts";
import type { Mark } from "./cursor.ts";
import { isEventType } from "./event.ts";
import {
  checkComplexity,
  isObject,
  type JsonLimits,
  type Member,
  member,
  members,
  parse,
  scalarIn,
} from "./json.ts";
import { type Position, parseId } from "./position.ts";
import { isTraceparent } from "./traceparent.ts";

/** Comes back in the reply: an integer from 0 to 2⁵³ − 1, or a string of up to 64 characters. */
export type Ref = number | string;

/** Where a subscription begins: behind an event, where a cursor's mark says, or some events back. */
export type Start = { readonly since: Position } | { readonly mark: Mark } | { readonly last: number };

export interface Subscribe {
  readonly channel: string;
  /** Undefined: with what comes next. */
  readonly start: Start | undefined;
}

/** Which part of a channel's history: forwards from `since`, or backwards from `before`, or from the newest event. */
export interface HistoryQuery {
  readonly since: Position | undefined;
  readonly before: Position | undefined;
  /** 1 to `MAX_LIMIT`. */
  readonly limit: number;
}

/** Which part of a channel's members. */
export interface MembersQuery {
  /** Behind this user; undefined: from the first one on. */
  readonly after: string | undefined;
  /** 1 to `MAX_LIMIT`. */
  readonly limit: number;
}

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
  /** The idempotency key. */
  readonly key: string | undefined;
  /** Of the publisher's trace. */
  readonly traceparent?: string | undefined;
}

export type Command =
  | { readonly type: "auth"; readonly ref: Ref | undefined; readonly token: string }
  | { readonly type: "subscribe"; readonly ref: Ref | undefined; readonly channels: readonly Subscribe[] }
  | { readonly type: "unsubscribe"; readonly ref: Ref | undefined; readonly channel: string }
  | Publish
  | {
      readonly type: "history";
      readonly ref: Ref | undefined;
      readonly channel: string;
      readonly query: HistoryQuery;
    }
  | {
      readonly type: "presence";
      readonly ref: Ref | undefined;
      readonly channel: string;
      readonly query: MembersQuery;
    }
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
/** Events or members in one answer. */
export const MAX_LIMIT = 1000;
export const DEFAULT_LIMIT = 100;
export const MAX_USER_LENGTH = 256;

/**
 * A client's frame as a command. With `payload` the text is the JSON part of a binary frame.
 * @throws {CommandError} naming the field and the rule
 */
export function decodeCommand(text: string, limits: JsonLimits, payload?: Uint8Array): Command {
  try {
    checkComplexity(text, limits);
  } catch (error) {
    const ref: unknown = parse(scalarIn(text, "ref") ?? "");
    throw new CommandError(error as RequestError, isRef(ref) ? ref : undefined);
  }
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
      return { type: "history", ref, channel: channelOf(frame), query: historyQueryOf(frame) };
    case "presence":
      return { type: "presence", ref, channel: channelOf(frame), query: membersQueryOf(frame) };
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

function subscribeChannels(frame: Record<string, unknown>): Subscribe[] {
  const { channels } = frame;
  if (channels === undefined) return [subscriptionOf(frame)];
  if (!Array.isArray(channels) || channels.length === 0 || channels.length > MAX_CHANNELS_PER_FRAME) {
    throw new RequestError(
      "bad_frame",
      `\`channels\` is a list of 1 to ${MAX_CHANNELS_PER_FRAME} {"channel":…}`,
    );
  }
  return channels.map((item) => {
    if (!isObject(item)) throw new RequestError("bad_frame", '`channels` is a list of {"channel":…}');
    return subscriptionOf(item);
  });
}

/** Of a frame, or of a query whose numbers are numbers. @throws {RequestError} bad_channel, bad_since, bad_limit, bad_frame */
export function subscriptionOf(item: Record<string, unknown>): Subscribe {
  const channel = channelOf(item);
  const { since, last } = item;
  if (since !== undefined && last !== undefined)
    throw new RequestError("bad_frame", "`since` and `last` exclude each other", { channel });
  if (since !== undefined) return { channel, start: { since: positionOf(since, "since", channel) } };
  if (last !== undefined) return { channel, start: { last: limitOf(last, "last", channel) } };
  return { channel, start: undefined };
}

/** @throws {RequestError} bad_since */
function positionOf(id: unknown, field: string, channel: string): Position {
  const position = parseId(id);
  if (!position)
    throw new RequestError("bad_since", `\`${field}\` is the id of an event: <text>:<digits>`, { channel });
  return position;
}

/** @throws {RequestError} bad_limit */
export function limitOf(value: unknown, field: string, channel?: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 1 || (value as number) > MAX_LIMIT)
    throw new RequestError("bad_limit", `\`${field}\` is an integer from 1 to ${MAX_LIMIT}`, {
      channel,
    });
  return value as number;
}

/** Of a frame, or of a query whose numbers are numbers. @throws {RequestError} bad_since, bad_limit, bad_frame */
export function historyQueryOf({ channel, since, before, limit }: Record<string, unknown>): HistoryQuery {
  const of = String(channel);
  if (since !== undefined && before !== undefined)
    throw new RequestError("bad_frame", "`since` and `before` exclude each other", { channel: of });
  return {
    since: since === undefined ? undefined : positionOf(since, "since", of),
    before: before === undefined ? undefined : positionOf(before, "before", of),
    limit: limit === undefined ? DEFAULT_LIMIT : limitOf(limit, "limit", of),
  };
}

/** Of a frame, or of a query whose numbers are numbers. @throws {RequestError} bad_limit, bad_frame */
export function membersQueryOf({ channel, after, limit }: Record<string, unknown>): MembersQuery {
  const of = String(channel);
  if (after !== undefined && (typeof after !== "string" || after === "" || after.length > MAX_USER_LENGTH))
    throw new RequestError("bad_frame", "`after` is a user, the `next` of the page before", { channel: of });
  return { after, limit: limit === undefined ? DEFAULT_LIMIT : limitOf(limit, "limit", of) };
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
    echo: frame.echo !== false,
    sender: senderOf(event?.sender, channel),
    key: keyOf(frame.key, channel),
    ...traceOf(frame.traceparent, channel),
  };
}

/** @throws {RequestError} bad_event */
export function traceOf(traceparent: unknown, channel: string): { traceparent?: string } {
  if (traceparent === undefined) return {};
  if (!isTraceparent(traceparent))
    throw new RequestError("bad_event", "`traceparent` is a W3C trace context, `00-…-…-01`", { channel });
  return { traceparent };
}

/** The articles' form: `{"type":"message","text":"Hi back!"}`; without `data` the remaining keys are the data. */
function decodeMessage(frame: Record<string, unknown>, ref: Ref | undefined, text: string): Publish {
  const fields = members(text);
  const channel = frame.channel === undefined ? undefined : channelOf(frame);
  return {
    type: "publish",
    ref,
    channel,
    eventType: "message",
    data: member(fields, "data") ?? remainder(fields),
    echo: frame.echo !== false,
    sender: undefined,
    key: keyOf(frame.key, channel),
  };
}

/** The grammar of idempotency keys. */
export const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,128}$/;
const PROTOCOL_FIELDS = new Set(["type", "ref", "channel", "key", "echo"]);

function remainder(fields: readonly Member[]): string {
  const rest = fields.filter((m) => !PROTOCOL_FIELDS.has(m.key));
  return `{${rest.map((m) => `${m.rawKey}:${m.value}`).join(",")}}`;
}

/** An idempotency key. @throws {RequestError} bad_key */
export function keyOf(key: unknown, channel: string | undefined): string | undefined {
  if (key === undefined) return undefined;
  if (typeof key !== "string" || !IDEMPOTENCY_KEY.test(key))
    throw new RequestError("bad_key", undefined, { channel });
  return key;
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
