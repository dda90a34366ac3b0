/**
 * Binary frames of the subprotocol `tidegate.v1.binary`, both ways:
 * uint16 big endian N, N bytes of JSON (an event or a `publish` without `data`), then the payload.
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

export function joinBinary(json: string, payload: Uint8Array): Uint8Array {
  const head = encoder.encode(json);
  if (head.length > 0xffff) throw new RangeError("the JSON part of a binary frame is over 65535 bytes");
  const frame = new Uint8Array(2 + head.length + payload.length);
  frame[0] = head.length >> 8;
  frame[1] = head.length & 0xff;
  frame.set(head, 2);
  frame.set(payload, 2 + head.length);
  return frame;
}

/** The two parts of a binary frame, or `undefined` when it is cut short or its JSON part is not UTF-8. */
export function splitBinary(frame: Uint8Array): { json: string; payload: Uint8Array } | undefined {
  const length = ((frame[0] ?? 0) << 8) | (frame[1] ?? 0);
  if (frame.length < 2 + length) return undefined;
  try {
    return { json: decoder.decode(frame.subarray(2, 2 + length)), payload: frame.subarray(2 + length) };
  } catch {
    return undefined; // not UTF-8: the caller answers `bad_frame`
  }
}
