import { joinBinary } from "../protocol/binary.ts";
import { type EventHead, encodeBase64Event, encodeEvent, encodeHead } from "../protocol/event.ts";
import type { Position } from "../protocol/position.ts";

/** An event as it leaves: encoded once, the same bytes to everybody. */
export interface EncodedEvent {
  readonly channel: string;
  /** The JSON text frame. */
  readonly text: Uint8Array;
  /** Of an event with a binary payload: the frame for those who take binary frames. */
  readonly binary: Uint8Array | undefined;
  /** The connection that asked not to hear its own event. */
  readonly except: string | undefined;
  /** Undefined when the history does not hold it. */
  readonly position: Position | undefined;
  /** The check of the event before it, which says that it belongs right behind that one. */
  readonly previous: string;
}

/** Where an event stands in its channel's history. */
export interface Place {
  readonly position: Position;
  readonly previous: string;
}

/** Encodes an event for all its readers. A string is JSON text and goes out verbatim; bytes are a binary payload. */
export function encode(
  head: EventHead,
  data: string | Uint8Array,
  except?: string,
  place?: Place,
): EncodedEvent {
  // Literals of one shape each, without a spread: this runs once for every event that a node hears.
  const { channel } = head;
  const position = place?.position;
  const previous = place?.previous ?? "";
  if (typeof data === "string") {
    const text = Buffer.from(encodeEvent(head, data));
    return { channel, text, binary: undefined, except, position, previous };
  }
  const base64 = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64");
  const text = Buffer.from(encodeBase64Event(head, base64));
  return { channel, text, binary: joinBinary(encodeHead(head), data), except, position, previous };
}
