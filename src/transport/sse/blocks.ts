import type { EncodedEvent } from "../../hub/encoded-event.ts";
import { encodeMark } from "../../protocol/cursor.ts";
import { payloadOf } from "../../protocol/event.ts";
import type { LossReason } from "../../protocol/frames.ts";
import { formatId, type Position } from "../../protocol/position.ts";

/*
 * The blocks of an event stream (HTML, 9.2.6). A line ends at CR, LF or CRLF, so no value may contain one: the types and
 * ids of events cannot, and data goes out line by line.
 */

const LINE_BREAK = /\r\n|\r|\n/;

/** A comment: says that the stream lives, and is no event. */
export const HEARTBEAT = Buffer.from(":\n\n");

/** The id of the last block of a stream that is not to be asked for again. No event and no cursor has it. */
export const STOP = "stop";

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

/** What moves a client on in a channel: encoded once, for all streams, in the form that each kind of stream takes. */
export interface ChannelBlock {
  readonly channel: string;
  /** In the stream of the channel: all of it. */
  readonly whole: Uint8Array;
  /** In a stream of many channels: all in front of the cursor. */
  readonly beforeCursor: Uint8Array;
  /** What the channel's part of the cursor becomes; undefined: it stays. */
  readonly mark: Uint8Array | undefined;
}

/** An event: its type, id and data in the one stream, the whole of it in the other. */
class EventBlock implements ChannelBlock {
  readonly channel: string;
  readonly #event: EncodedEvent;
  #whole: Uint8Array | undefined;
  #beforeCursor: Uint8Array | undefined;
  #mark: Uint8Array | undefined;

  constructor(event: EncodedEvent) {
    this.#event = event;
    this.channel = event.channel;
  }

  get whole(): Uint8Array {
    this.#whole ??= wholeOf(this.#event);
    return this.#whole;
  }

  get beforeCursor(): Uint8Array {
    this.#beforeCursor ??= beforeCursorOf(this.#event);
    return this.#beforeCursor;
  }

  get mark(): Uint8Array | undefined {
    const { position } = this.#event;
    this.#mark ??= position && Buffer.from(encodeMark(position));
    return this.#mark;
  }
}

const known = new WeakMap<EncodedEvent, EventBlock>();

/** Of an event that goes to many streams in turn, always the same. */
export function eventBlock(event: EncodedEvent): ChannelBlock {
  const found = known.get(event);
  if (found) return found;
  const block = new EventBlock(event);
  known.set(event, block);
  return block;
}

/** What an event is for a connection: who asked not to hear it only moves on. Undefined: nothing. */
export function blockFor(event: EncodedEvent, connection: string): ChannelBlock | undefined {
  if (event.except !== connection) return eventBlock(event);
  const { channel, position } = event;
  if (!position) return undefined;
  const mark = Buffer.from(encodeMark(position));
  return { channel, whole: Buffer.from(`${idLine(formatId(position))}\n`), beforeCursor: ID, mark };
}

/** Events may be missing; the channel goes on from there. */
export function lostBlock(channel: string, position: Position | undefined, reason: LossReason): ChannelBlock {
  const id = position && formatId(position);
  const data = { channel, ...(id !== undefined && { id }), reason };
  return {
    channel,
    whole: controlBlock("lost", data, idLine(id)),
    beforeCursor: Buffer.from(`event: $lost\ndata: ${JSON.stringify(data)}\nid: `),
    mark: Buffer.from(encodeMark(position)),
  };
}

/** A payload that is not text is `{"data_base64":…}`. */
function wholeOf({ text, position }: EncodedEvent): Uint8Array {
  const { type, data } = payloadOf(text);
  return Buffer.concat([
    Buffer.from(`event: ${type}\n${idLine(position && formatId(position))}`),
    dataLines(data),
    NEWLINE,
  ]);
}

function beforeCursorOf({ text }: EncodedEvent): Uint8Array {
  const { type } = payloadOf(text);
  return Buffer.concat([Buffer.from(`event: ${type}\n`), dataLines(text), ID]);
}

const DATA = Buffer.from("data: ");
const ID = Buffer.from("id: ");
const NEWLINE = Buffer.from("\n");

function dataLines(data: Uint8Array): Uint8Array {
  if (!data.includes(0x0a) && !data.includes(0x0d)) return Buffer.concat([DATA, data, NEWLINE]);
  const lines = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString().split(LINE_BREAK);
  return Buffer.from(lines.map((line) => `data: ${line}\n`).join(""));
}
