const FINAL_TEXT = 0x81;
const CLOSE = 0x88;
const PING = 0x89;
const FINAL_PONG = 0x8a;
/** As RFC 6455 numbers a close frame that says nothing. */
const NO_CODE = 1005;
// A client must mask; the zero key is a legal key and leaves the payload as it is.
const MASKED = 0x80;
const ZERO_KEY = Buffer.alloc(4);

/** What a connection does with the frames that arrive; payloads are offsets into a buffer that is reused after the call. */
export interface FrameSink {
  onText(buffer: Buffer, start: number, length: number): void;
  onPing(payload: Buffer): void;
  /** @param code of the close frame, 1005 without one */
  onClose(code: number): void;
}

/** Reads the whole frames between `at` and `end`; returns where the first unfinished one begins. */
export function readFrames(buffer: Buffer, from: number, end: number, sink: FrameSink): number {
  let at = from;
  while (at + 2 <= end) {
    const opcode = buffer[at] as number;
    let length = buffer[at + 1] as number;
    let payload = at + 2;
    if (length === 126) {
      if (at + 4 > end) break;
      length = ((buffer[at + 2] as number) << 8) | (buffer[at + 3] as number);
      payload = at + 4;
    } else if (length === 127) {
      if (at + 10 > end) break;
      length = Number(buffer.readBigUInt64BE(at + 2));
      payload = at + 10;
    }
    if (payload + length > end) break;
    if (opcode === FINAL_TEXT) sink.onText(buffer, payload, length);
    else if (opcode === PING) sink.onPing(buffer.subarray(payload, payload + length));
    else if (opcode === CLOSE) sink.onClose(length < 2 ? NO_CODE : buffer.readUInt16BE(payload));
    at = payload + length;
  }
  return at;
}

export function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const short = payload.length < 126;
  const head = Buffer.from(
    short
      ? [FINAL_TEXT, MASKED | payload.length]
      : [FINAL_TEXT, MASKED | 126, payload.length >> 8, payload.length & 255],
  );
  return Buffer.concat([head, ZERO_KEY, payload]);
}

export function pongFrame(payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([FINAL_PONG, MASKED | payload.length]), ZERO_KEY, payload]);
}
