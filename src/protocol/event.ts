/** The grammar of the types that publishers may use. */
export const EVENT_TYPE = /^[A-Za-z][A-Za-z0-9_.:-]{0,63}$/;

/** The control words of the protocol: frozen, and never the type of a published event. `message` may be published. */
export const CONTROL_WORDS: ReadonlySet<string> = new Set([
  "auth",
  "authenticated",
  "subscribe",
  "subscribed",
  "unsubscribe",
  "unsubscribed",
  "publish",
  "published",
  "history",
  "presence",
  "job",
  "accepted",
  "ping",
  "pong",
  "welcome",
  "error",
  "closing",
]);

/** Whether a publisher may use `type`. What begins with `$` is the gateway's and does not match the grammar. */
export function isEventType(type: unknown): type is string {
  return typeof type === "string" && EVENT_TYPE.test(type) && !CONTROL_WORDS.has(type);
}

/** What is delivered, without its payload. */
export interface EventHead {
  readonly type: string;
  readonly channel: string;
  /** Of an event that the channel's history holds. */
  readonly id?: string | undefined;
  /** RFC 3339. */
  readonly timestamp: string;
  /** Of the publisher's trace. */
  readonly traceparent?: string | undefined;
  /** Who published it, set by the gateway. */
  readonly sender?: string | undefined;
}

/** Beginning of an event's frame up to its payload. What is given has passed its grammar: no escaping. */
function open(head: EventHead): string {
  const id = head.id === undefined ? "" : `,"id":"${head.id}"`;
  const trace = head.traceparent === undefined ? "" : `,"traceparent":"${head.traceparent}"`;
  return `{"type":"${head.type}","channel":"${head.channel}"${id},"timestamp":"${head.timestamp}"${trace}`;
}

function sender(head: EventHead): string {
  return head.sender === undefined ? "" : `,"sender":${JSON.stringify(head.sender)}`;
}

/** The frame of an event whose payload is the JSON text `data`. */
export function encodeEvent(head: EventHead, data: string): string {
  return `${open(head)},"data":${data}${sender(head)}}`;
}

/** The frame of an event with a binary payload for clients that speak JSON only: `encodeHead`, and the payload. */
export function encodeBase64Event(head: EventHead, base64: string): string {
  return `${open(head)}${sender(head)},"data_base64":"${base64}"}`;
}

/** The JSON in front of a binary frame's payload (see `binary.ts`). */
export function encodeHead(head: EventHead): string {
  return `${open(head)}${sender(head)}}`;
}

/**
 * What `encodeEvent` and `encodeBase64Event` have put together, apart again: the payload as it was published, or, where it
 * was no text, `{"data_base64":"…"}`. No member in front of it holds an unescaped quote, so its key can be searched for.
 */
export function payloadOf(frame: Uint8Array): { readonly type: string; readonly data: Uint8Array } {
  const type = typeOf(frame);
  const at = find(frame, DATA_KEY);
  if (at >= 0) return { type, data: frame.subarray(at + DATA_KEY.length, endOfData(frame)) };
  // A copy, since the frame is everybody's; and not by `slice`, which of a Buffer is none.
  const data = Uint8Array.from(frame.subarray(find(frame, BASE64_KEY)));
  data[0] = BRACE; // in place of the comma
  return { type, data };
}

/** Of a frame that somebody forged in Redis, what could break an event stream is none. */
function typeOf(frame: Uint8Array): string {
  const longest = frame.subarray(TYPE_AT, TYPE_AT + MAX_TYPE);
  const type = String.fromCharCode(...longest.subarray(0, Math.max(0, longest.indexOf(QUOTE))));
  return /^\$?[A-Za-z][\w.:-]*$/.test(type) ? type : "message";
}

const TYPE_AT = '{"type":"'.length;
/** `$` or not, and the quote behind it. */
const MAX_TYPE = 66;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BRACE = 0x7b;
const DATA_KEY = bytes(',"data":');
const BASE64_KEY = bytes(',"data_base64":');
const SENDER_KEY = bytes(',"sender":');

/** A string that ends the frame is the sender, or the data itself. */
function endOfData(frame: Uint8Array): number {
  const end = frame.length - 1;
  if (frame[end - 1] !== QUOTE) return end;
  const key = openingQuote(frame, end - 1) - SENDER_KEY.length;
  return SENDER_KEY.every((byte, i) => frame[key + i] === byte) ? key : end;
}

function openingQuote(frame: Uint8Array, closing: number): number {
  for (let at = frame.lastIndexOf(QUOTE, closing - 1); ; at = frame.lastIndexOf(QUOTE, at - 1)) {
    let backslashes = 0;
    while (frame[at - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return at;
  }
}

function find(frame: Uint8Array, wanted: Uint8Array): number {
  const [first = 0] = wanted;
  for (let at = frame.indexOf(first); at >= 0; at = frame.indexOf(first, at + 1)) {
    if (wanted.every((byte, i) => frame[at + i] === byte)) return at;
  }
  return -1;
}

function bytes(ascii: string): Uint8Array {
  return Uint8Array.from(ascii, (character) => character.charCodeAt(0));
}
