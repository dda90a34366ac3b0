import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { isObject, parse } from "../../src/protocol/json.ts";
import { OPCODE, type RawFrame, RawWebSocket } from "../support/raw.ts";

/** What may be wrong with a frame. Without any of it: final, masked, the shortest length. */
export interface Shape {
  fin?: boolean;
  /** The three reserved bits as a number, RSV1 being 4. */
  rsv?: number;
  /** `false` leaves out bit and key; `"key only"` sends a key and does not say so. */
  masked?: boolean | "key only";
  key?: readonly [number, number, number, number];
  /** How many bits the length takes, whatever it needs. */
  lengthBits?: 7 | 16 | 64;
  /** What the length says, whatever follows. */
  length?: bigint;
}

/** A client's frame, byte for byte. */
export function wire(opcode: number, payload: Buffer | string = "", shape: Shape = {}): Buffer {
  const { fin = true, rsv = 0, masked = true, key = [0x37, 0xfa, 0x21, 0x3d] } = shape;
  const plain = Buffer.from(payload);
  const length = shape.length ?? BigInt(plain.length);
  const bits = shape.lengthBits ?? (length < 126n ? 7 : length < 65_536n ? 16 : 64);
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const second = masked === true ? 0x80 : 0;
  const size = Buffer.alloc(bits === 7 ? 1 : bits === 16 ? 3 : 9);
  size[0] = second | (bits === 7 ? Number(length) : bits === 16 ? 126 : 127);
  if (bits === 16) size.writeUInt16BE(Number(length), 1);
  if (bits === 64) size.writeBigUInt64BE(length, 1);
  if (masked === false) return Buffer.concat([Buffer.from([first]), size, plain]);
  const body = plain.map((byte, i) => byte ^ (key[i % 4] as number));
  return Buffer.concat([Buffer.from([first]), size, Buffer.from(key), body]);
}

export const CONTINUATION = 0;

/** A message in as many frames as there are parts. */
export function fragments(opcode: number, ...parts: (Buffer | string)[]): Buffer[] {
  return parts.map((part, i) => wire(i === 0 ? opcode : CONTINUATION, part, { fin: i === parts.length - 1 }));
}

/** A `ping` command of exactly that many bytes, filled up with spaces; 15 at least. */
export function command(length: number): string {
  return '{"type":"ping"}'.padEnd(length);
}

/** `silent`: neither an answer to the command behind it, nor an end. */
export type Fate = "alive" | "ended" | "silent";

export interface Observed {
  fate: Fate;
  /** What the server sent, in short: `pong`, `error bad_frame`, `PONG 00ff` (a control frame), `CLOSE 1000 bye`. */
  replies: string[];
}

const PROBE = "probe";
const PROBED = [PROBE, `PONG ${Buffer.from(PROBE).toString("hex")}`];
/** What has not come by now is not on its way. */
const PATIENCE_MS = 3_000;

export interface ObserveOptions {
  /** Bytes in one write; 0: all. */
  chop?: number;
  /** A message is open at the end: a control frame asks what became of the connection, a text would be wrong. */
  unfinished?: boolean;
  headers?: Record<string, string>;
}

/** Sends these bytes over a connection of their own and looks what became of it. */
export async function observe(
  port: number,
  bytes: readonly Buffer[],
  { chop = 0, unfinished = false, headers = {} }: ObserveOptions = {},
): Promise<Observed> {
  const socket = await RawWebSocket.open(port, "/ws", headers);
  try {
    await write(socket, Buffer.concat(bytes), chop);
    const probe = JSON.stringify({ type: "ping", ref: PROBE });
    socket.socket.write(unfinished ? wire(OPCODE.ping, PROBE) : wire(OPCODE.text, probe));
    const fate = await fateOf(socket);
    const replies = socket.frames
      .map(inShort)
      .filter((reply) => reply !== "welcome" && !PROBED.includes(reply));
    return { fate, replies };
  } finally {
    socket.stop();
  }
}

async function write({ socket }: RawWebSocket, bytes: Buffer, chop: number): Promise<void> {
  if (chop === 0) return void socket.write(bytes);
  for (let at = 0; at < bytes.length && !socket.destroyed; at += chop) {
    socket.write(bytes.subarray(at, at + chop));
    await turn();
  }
}

async function fateOf(socket: RawWebSocket): Promise<Fate> {
  let ended = false;
  void socket.ended.then(() => {
    ended = true;
  });
  const end = performance.now() + PATIENCE_MS;
  while (performance.now() < end) {
    if (ended) return "ended";
    if (socket.frames.some((frame) => PROBED.includes(inShort(frame)))) return "alive";
    await sleep(1);
  }
  return "silent";
}

/** Of what is no JSON nothing. */
function objectIn(payload: Buffer): Record<string, unknown> {
  const value = parse(payload.toString());
  return isObject(value) ? value : {};
}

function inShort({ opcode, payload }: RawFrame): string {
  if (opcode === OPCODE.pong) return `PONG ${payload.toString("hex")}`.trim();
  if (opcode === OPCODE.close) {
    const code = payload.length < 2 ? "" : payload.readUInt16BE(0);
    return `CLOSE ${code} ${payload.subarray(2)}`.trim();
  }
  const { type = `opcode ${opcode}: ${payload.toString("hex")}`, code, ref } = objectIn(payload);
  if (ref === PROBE) return PROBE;
  return [type, code, ref].filter((part) => part !== undefined).join(" ");
}
