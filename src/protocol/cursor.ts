import type { Position } from "./position.ts";

/*
 * The cursor of a stream of many channels: where a client is in each of them, as text that an `id:` of an event stream
 * can hold (HTML, 9.2.6). `c1`, four characters that stand for the names, eight for each channel in the order of the
 * request. A channel's part does not move, so it is made once for all streams when the channel goes on.
 */
const VERSION = "c1";
const MARK_LENGTH = 8;
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const MODULUS = 0x1000000;
/** Of a channel that keeps no history. */
const NONE = "AAAAAAAA";

/**
 * A position in six bytes: the end of its offset, which its channel's head completes, since no history is longer; and a
 * digest of its epoch and check, so that another event in its place is not taken for it.
 */
export interface Mark {
  /** Modulo 2²⁴. */
  readonly offset: number;
  /** 24 bits. */
  readonly digest: number;
}

export function encodeMark(position: Position | undefined): string {
  return position ? digits(position.offset % MODULUS) + digits(digestOf(position)) : NONE;
}

/** Whether a position is what a mark stands for. */
export function isMarkedBy(position: Position, mark: Mark): boolean {
  return position.offset % MODULUS === mark.offset && digestOf(position) === mark.digest;
}

/** The offset that a mark stands for: the one that is nearest to a channel's head. */
export function offsetOf(mark: Mark, head: number): number {
  const ahead = (mark.offset - (head % MODULUS) + MODULUS) % MODULUS;
  return head + (ahead < MODULUS / 2 ? ahead : ahead - MODULUS);
}

/** The beginning of a cursor, in front of the marks. */
export function cursorHead(channels: readonly string[]): string {
  return VERSION + digits(fold(channels.join(" ")));
}

/**
 * @returns a mark for each channel, undefined where it had no position; undefined when this is no cursor of these channels
 */
export function parseCursor(text: string, channels: readonly string[]): (Mark | undefined)[] | undefined {
  const head = cursorHead(channels);
  if (!text.startsWith(head) || text.length !== head.length + channels.length * MARK_LENGTH) return undefined;
  if (!/^[\w-]*$/.test(text)) return undefined;
  return channels.map((_, i) => parseMark(text, head.length + i * MARK_LENGTH));
}

/** A cursor of other channels, which is where `text` is in those that are in both; undefined when it is none of `from`. */
export function moveCursor(text: string, from: readonly string[], to: readonly string[]): string | undefined {
  if (!parseCursor(text, from)) return undefined;
  const start = cursorHead(from).length;
  const marks = new Map(
    from.map((channel, i) => [channel, text.slice(start + i * MARK_LENGTH, start + (i + 1) * MARK_LENGTH)]),
  );
  return cursorHead(to) + to.map((channel) => marks.get(channel) ?? NONE).join("");
}

function parseMark(text: string, at: number): Mark | undefined {
  if (text.startsWith(NONE, at)) return undefined;
  return { offset: number(text, at), digest: number(text, at + 4) };
}

function digestOf({ epoch, check }: Position): number {
  return fold(`${epoch}-${check}`);
}

/** FNV-1a, folded to 24 bits; never 0, which is no position. */
function fold(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 24) ^ (hash & 0xffffff) || 1;
}

function digits(bits: number): string {
  const digit = (shift: number) => DIGITS[(bits >>> shift) & 63];
  return `${digit(18)}${digit(12)}${digit(6)}${digit(0)}`;
}

function number(text: string, at: number): number {
  let bits = 0;
  for (let i = at; i < at + 4; i++) bits = bits * 64 + DIGITS.indexOf(text[i] as string);
  return bits;
}
