import type { Static } from "typebox";
import { RequestError } from "../protocol/codes.ts";
import {
  type Command,
  CommandError,
  DEFAULT_LIMIT,
  type HistoryQuery,
  type MembersQuery,
  type Publish,
  type Ref,
  type Start,
  type Subscribe,
} from "../protocol/commands.ts";
import {
  checkComplexity,
  isObject,
  type JsonLimits,
  type Member,
  member,
  members,
  parse,
  scalarIn,
} from "../protocol/json.ts";
import { type Position, parseId } from "../protocol/position.ts";
import { COMMANDS } from "./commands.ts";
import { ref as refSchema } from "./fields.ts";
import type { HistoryParameters, MembersParameters, StartParameters } from "./parameters.ts";
import { fits, itsChannel, shape } from "./shape.ts";

/*
 * What clients send, checked by the schemas that the documents show. The data of an event is cut out of the text, so that
 * it goes on as it was written; everything else is read from what JSON.parse has made.
 */

type Frame = Record<string, unknown>;

const isRef = fits(refSchema) as (ref: unknown) => ref is Ref;
const checked = {
  auth: shape(COMMANDS.auth, itsChannel),
  subscribe: shape(COMMANDS.subscribe, itsChannel),
  subscribeMany: shape(COMMANDS.subscribeMany, itsChannel),
  unsubscribe: shape(COMMANDS.unsubscribe, itsChannel),
  publish: shape(COMMANDS.publish, itsChannel),
  publishShort: shape(COMMANDS.publishShort, itsChannel),
  publishBinary: shape(COMMANDS.publishBinary, itsChannel),
  message: shape(COMMANDS.message, itsChannel),
  history: shape(COMMANDS.history, itsChannel),
  presence: shape(COMMANDS.presence, itsChannel),
  ping: shape(COMMANDS.ping, itsChannel),
};

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

function decode(frame: Frame, ref: Ref | undefined, text: string, payload?: Uint8Array): Command {
  if (payload && frame.type !== "publish")
    throw new RequestError("bad_frame", "a binary frame carries a `publish`");
  switch (frame.type) {
    case "auth":
      return { type: "auth", ref, token: checked.auth(frame).token };
    case "subscribe":
      return { type: "subscribe", ref, channels: subscriptionsIn(frame) };
    case "unsubscribe":
      return { type: "unsubscribe", ref, channel: checked.unsubscribe(frame).channel };
    case "publish":
      return { type: "publish", ref, ...publicationIn(frame, text, payload) };
    case "message":
      return { type: "publish", ref, ...messageIn(frame, text) };
    case "history": {
      const asked = checked.history(frame);
      return { type: "history", ref, channel: asked.channel, query: historyQueryOf(asked) };
    }
    case "presence": {
      const asked = checked.presence(frame);
      return { type: "presence", ref, channel: asked.channel, query: membersQueryOf(asked) };
    }
    case "ping":
      checked.ping(frame);
      return { type: "ping", ref };
    case "job":
      throw new RequestError("not_supported", `\`${frame.type}\` is not offered by this node`);
    default:
      throw new RequestError("unknown_type");
  }
}

function subscriptionsIn(frame: Frame): Subscribe[] {
  const wanted = "channels" in frame ? checked.subscribeMany(frame).channels : [checked.subscribe(frame)];
  return wanted.map((one) => ({ channel: one.channel, start: startOf(one) }));
}

type Publication = Omit<Publish, "type" | "ref">;

function publicationIn(frame: Frame, text: string, payload: Uint8Array | undefined): Publication {
  if (payload) {
    const { event, ...rest } = checked.publishBinary(frame);
    return publication(payload, rest, event);
  }
  const fields = members(text);
  if (!("event" in frame)) return publication(member(fields, "data"), checked.publishShort(frame));
  const { event, ...rest } = checked.publish(frame);
  return publication(member(members(member(fields, "event") as string), "data"), rest, event);
}

function publication(
  data: string | Uint8Array | undefined,
  frame: { channel: string; key?: string; echo?: unknown; traceparent?: string },
  event: { type?: string; sender?: string } = {},
): Publication {
  const { channel, key, echo, traceparent } = frame;
  return {
    channel,
    eventType: event.type ?? "message",
    // Required, and so there.
    data: data as string | Uint8Array,
    echo: echo !== false,
    sender: event.sender,
    key,
    traceparent,
  };
}

/** The articles' form: `{"type":"message","text":"Hi back!"}`; without `data` the remaining keys are the data. */
function messageIn(frame: Frame, text: string): Publication {
  const { channel, key, echo } = checked.message(frame);
  const fields = members(text);
  const data = member(fields, "data") ?? remainder(fields);
  return { channel, eventType: "message", data, echo: echo !== false, sender: undefined, key };
}

const PROTOCOL_FIELDS = new Set(["type", "ref", "channel", "key", "echo"]);

function remainder(fields: readonly Member[]): string {
  const rest = fields.filter((m) => !PROTOCOL_FIELDS.has(m.key));
  return `{${rest.map((m) => `${m.rawKey}:${m.value}`).join(",")}}`;
}

/* Of fields that are checked. */

function startOf({ since, last }: Static<typeof StartParameters>): Start | undefined {
  if (since !== undefined) return { since: parseId(since) as Position };
  return last === undefined ? undefined : { last };
}

export function historyQueryOf({
  since,
  before,
  limit = DEFAULT_LIMIT,
}: Static<typeof HistoryParameters>): HistoryQuery {
  return { since: parseId(since), before: parseId(before), limit };
}

export function membersQueryOf({
  after,
  limit = DEFAULT_LIMIT,
}: Static<typeof MembersParameters>): MembersQuery {
  return { after, limit };
}
