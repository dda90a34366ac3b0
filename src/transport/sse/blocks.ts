import type { EncodedEvent } from "../../hub/encoded-event.ts";
import { payloadOf } from "../../protocol/event.ts";
import { formatId } from "../../protocol/position.ts";

/*
 * The blocks of an event stream (HTML, 9.2.6). A line ends at CR, LF or CRLF, so no value may contain one: the types and
 * ids of events cannot, and data goes out line by line.
 */

const LINE_BREAK = /\r\n|\r|\n/;

/** A comment: says that the stream lives, and is no event. */
export const HEARTBEAT = Buffer.from(":\n\n");

/** Milliseconds that a client waits before it comes back. */
export function retry(ms: number): string {
  return `retry: ${Math.round(ms)}\n`;
}

export function idLine(id: string | undefined): string {
  return id === undefined ? "" : `id: ${id}\n`;
}

/** A block of the gateway's own. `$` begins no published event's type. */
export function controlBlock(type: string, data: object, fields = ""): Buffer {
  return Buffer.from(`event: $${type}\n${fields}data: ${JSON.stringify(data)}\n\n`);
}

/** An event in the stream of its channel: its type, id and data; a payload that is not text as `{"data_base64":…}`. */
export function eventBlock(event: EncodedEvent): Buffer {
  const { type, data } = payloadOf(event.text);
  const id = event.position && formatId(event.position);
  return Buffer.concat([Buffer.from(`event: ${type}\n${idLine(id)}`), dataLines(data), LAST]);
}

/** An event in a stream of many channels, up to the cursor, which is each stream's own. */
export function sharedBlock(event: EncodedEvent): Buffer {
  const { type } = payloadOf(event.text);
  return Buffer.concat([Buffer.from(`event: ${type}\n`), dataLines(event.text), CURSOR]);
}

const DATA = Buffer.from("data: ");
const NEWLINE = Buffer.from("\n");
const LAST = NEWLINE;
const CURSOR = Buffer.from("id: ");

function dataLines(data: Uint8Array): Uint8Array {
  if (!data.includes(0x0a) && !data.includes(0x0d)) return Buffer.concat([DATA, data, NEWLINE]);
  const lines = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString().split(LINE_BREAK);
  return Buffer.from(lines.map((line) => `data: ${line}\n`).join(""));
}
