import { isUtf8 } from "node:buffer";
import type { EncodedEvent } from "../../hub/encoded-event.ts";
import { splitBinary } from "../../protocol/binary.ts";
import { parseId } from "../../protocol/position.ts";

/*
 * How our own events travel between nodes and stand in the history: the frame that clients get, behind a small header
 * (its form is in tidegate.lua, which makes them), so that no node parses or encodes it again. The version lets two
 * releases run side by side: a node refuses, and counts, what it does not know. The part from the first `;` on came with
 * the history, and releases without one read over it.
 */
const VERSION = 0x31;
const TEXT = 0x74;
const BINARY = 0x62;
const NEWLINE = 0x0a;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const MAX_HEADER = 96;

/** The event in an envelope; `undefined` when it is none, which only somebody with access to Redis can have made. */
export function unseal(channel: string, envelope: Buffer): EncodedEvent | undefined {
  const end = envelope.subarray(0, MAX_HEADER).indexOf(NEWLINE);
  if (envelope[0] !== VERSION || end < 2) return undefined;
  const frame = envelope.subarray(end + 1);
  const [author, id, previous = ""] = envelope.toString("latin1", 2, end).split(";");
  const position = parseId(id);
  if (id !== undefined && !position) return undefined;
  const except = author === "" ? undefined : author;
  if (envelope[1] === BINARY) {
    const text = textOfBinary(frame);
    return text && { channel, text, binary: frame, except, position, previous };
  }
  // A frame that is not UTF-8 would close every browser that gets it.
  if (envelope[1] !== TEXT || frame[0] !== OPEN || frame.at(-1) !== CLOSE || !isUtf8(frame)) return undefined;
  return { channel, text: frame, binary: undefined, except, position, previous };
}

/** What those get who read JSON only; undefined when it is no binary frame. */
function textOfBinary(frame: Buffer): Buffer | undefined {
  const parts = splitBinary(frame);
  if (!parts?.json.endsWith("}")) return undefined;
  const payload = Buffer.from(parts.payload.buffer, parts.payload.byteOffset, parts.payload.byteLength);
  return Buffer.from(`${parts.json.slice(0, -1)},"data_base64":"${payload.toString("base64")}"}`);
}
