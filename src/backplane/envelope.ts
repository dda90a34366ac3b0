import { isUtf8 } from "node:buffer";
import type { EncodedEvent } from "../hub/encoded-event.ts";
import { splitBinary } from "../protocol/binary.ts";

/**
 * How our own events travel between nodes: the frame that clients get, behind a small header, so that no node
 * parses or encodes it again.
 *
 *   version "1" · kind "t" (text) or "b" (binary) · the connection that must not hear it, or nothing · "\n" · frame
 *
 * The version lets two releases run side by side: a node refuses, and counts, what it does not know.
 */
const VERSION = 0x31;
const TEXT = 0x74;
const BINARY = 0x62;
const NEWLINE = 0x0a;
const OPEN = 0x7b;
const CLOSE = 0x7d;
/** No connection id is as long. */
const MAX_HEADER = 80;

export function seal(event: EncodedEvent): Buffer {
  const kind = event.binary ? "b" : "t";
  return Buffer.concat([Buffer.from(`1${kind}${event.except ?? ""}\n`), event.binary ?? event.text]);
}

/** The event in an envelope; `undefined` when it is none, which only somebody with access to Redis can have sent. */
export function unseal(channel: string, envelope: Buffer): EncodedEvent | undefined {
  const end = envelope.subarray(0, MAX_HEADER).indexOf(NEWLINE);
  if (envelope[0] !== VERSION || end < 2) return undefined;
  const frame = envelope.subarray(end + 1);
  const except = end === 2 ? undefined : envelope.toString("latin1", 2, end);
  if (envelope[1] === BINARY) return unsealBinary(channel, frame, except);
  // A frame that is not UTF-8 would close every browser that gets it.
  if (envelope[1] !== TEXT || frame[0] !== OPEN || frame.at(-1) !== CLOSE || !isUtf8(frame)) return undefined;
  return { channel, text: frame, binary: undefined, except };
}

function unsealBinary(channel: string, frame: Buffer, except: string | undefined): EncodedEvent | undefined {
  const parts = splitBinary(frame);
  if (!parts?.json.endsWith("}")) return undefined;
  const payload = Buffer.from(parts.payload.buffer, parts.payload.byteOffset, parts.payload.byteLength);
  const text = `${parts.json.slice(0, -1)},"data_base64":"${payload.toString("base64")}"}`;
  return { channel, text: Buffer.from(text), binary: frame, except };
}
