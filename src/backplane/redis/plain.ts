import { isUtf8 } from "node:buffer";
import { type EncodedEvent, encode } from "../../hub/encoded-event.ts";
import { isEventType } from "../../protocol/event.ts";
import { isObject, member, members, parse } from "../../protocol/json.ts";
import { isTimestamp, timestamp } from "../../protocol/timestamp.ts";
import { isTraceparent } from "../../protocol/traceparent.ts";

const EVENT_KEYS = new Set(["type", "id", "timestamp", "traceparent", "data"]);

/**
 * The event in a plain `PUBLISH` of any Redis client. The payload is the `data`; a payload that is itself an event
 * is delivered as that event; what is not JSON is a string, what is not UTF-8 is binary. Nothing is refused for its
 * form: a backend that publishes `hi` gets `"hi"` through.
 */
export function eventOfPlain(channel: string, payload: Buffer): EncodedEvent {
  const message = { type: "message", channel, timestamp: timestamp(Date.now()) };
  if (!isUtf8(payload)) return encode(message, payload);
  const text = payload.toString("utf8");
  const value = parse(text);
  if (value === undefined) return encode(message, JSON.stringify(text));
  if (!isEvent(value)) return encode(message, text);
  const head = {
    ...message,
    type: value.type,
    timestamp: value.timestamp ?? message.timestamp,
    traceparent: value.traceparent,
  };
  return encode(head, member(members(text), "data") as string);
}

/** Its `id`, if it has one, is ignored: ids are the gateway's. With a reserved type it is somebody's data. */
function isEvent(
  value: unknown,
): value is { type: string; timestamp?: string; traceparent?: string; data: unknown } {
  return (
    isObject(value) &&
    isEventType(value.type) &&
    value.data !== undefined &&
    (value.timestamp === undefined || isTimestamp(value.timestamp)) &&
    (value.traceparent === undefined || isTraceparent(value.traceparent)) &&
    Object.keys(value).every((key) => EVENT_KEYS.has(key))
  );
}
