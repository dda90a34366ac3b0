import { RequestError } from "./codes.ts";

/**
 * Cutting a JSON object into its members without re-encoding them: what a publisher sent as `data` reaches the
 * subscribers byte for byte (`JSON.parse` and back would turn 12345678901234567890 into 12345678901234567000).
 */

export interface Member {
  readonly key: string;
  /** The key as it stood, with its quotes. */
  readonly rawKey: string;
  /** The value as it stood. */
  readonly value: string;
}

/** The members of the object in `text`, in order. `text` must have passed `JSON.parse` and be an object. */
export function members(text: string): Member[] {
  const found: Member[] = [];
  let at = skipSpace(text, text.indexOf("{") + 1);
  while (text[at] !== "}") {
    const keyEnd = stringEnd(text, at);
    const rawKey = text.slice(at, keyEnd);
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1); // the one character between is the colon
    const end = valueEnd(text, start);
    const key = rawKey.includes("\\") ? (JSON.parse(rawKey) as string) : rawKey.slice(1, -1);
    found.push({ key, rawKey, value: text.slice(start, end) });
    at = skipSpace(text, end);
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
  return found;
}

/** The elements of the list in `text`, as they stood. `text` must have passed `JSON.parse` and be a list. */
export function elements(text: string): string[] {
  const found: string[] = [];
  let at = skipSpace(text, 1);
  while (text[at] !== "]") {
    const end = valueEnd(text, at);
    found.push(text.slice(at, end));
    at = skipSpace(text, end);
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
  return found;
}

/** The raw value of `key`; of a key that occurs twice the last one, as in `JSON.parse`. */
export function member(of: readonly Member[], key: string): string | undefined {
  return of.findLast((m) => m.key === key)?.value;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** JSON's four space characters are below it, and nothing else that stands between tokens. */
const FIRST_VISIBLE = 0x21;

function skipSpace(text: string, at: number): number {
  while (text.charCodeAt(at) < FIRST_VISIBLE) at++;
  return at;
}

/** One past the closing quote of the string that opens at `at`. */
function stringEnd(text: string, at: number): number {
  for (;;) {
    const quote = text.indexOf('"', at + 1);
    if (quote < 0) return text.length; // of what is no JSON
    let slashes = 0;
    while (text[quote - 1 - slashes] === "\\") slashes++;
    if (slashes % 2 === 0) return quote + 1;
    at = quote;
  }
}

/** A character of a number, `true`, `false` or `null`: no space, comma or closing bracket. NaN at the end. */
function isScalar(code: number): boolean {
  return code >= FIRST_VISIBLE && code !== COMMA && code !== CLOSE_BRACKET && code !== CLOSE_BRACE;
}

function valueEnd(text: string, at: number): number {
  const first = text[at];
  if (first === '"') return stringEnd(text, at);
  if (first !== "{" && first !== "[") {
    while (isScalar(text.charCodeAt(at))) at++;
    return at;
  }
  for (let depth = 0; ; ) {
    const c = text[at];
    if (c === '"') at = stringEnd(text, at);
    else {
      at++;
      if (c === "{" || c === "[") depth++;
      else if ((c === "}" || c === "]") && --depth === 0) return at;
    }
  }
}

/** Bounds on what a client sends, for those who walk it after us. 0: no limit. */
export interface JsonLimits {
  /** Objects and lists within each other. */
  readonly depth: number;
  /** Of all objects together. */
  readonly keys: number;
}

/**
 * Before `JSON.parse`, which takes milliseconds for 64 KiB of brackets: `text` may be anything.
 * @throws {RequestError} too_complex
 */
export function checkComplexity(text: string, limits: JsonLimits): void {
  const maxDepth = limits.depth || Number.POSITIVE_INFINITY;
  const maxKeys = limits.keys || Number.POSITIVE_INFINITY;
  if (text.length < 2 * Math.min(maxDepth, maxKeys)) return; // too short to hold more
  let depth = 0;
  let keys = 0;
  for (let at = 0; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === QUOTE) at = stringEnd(text, at) - 1;
    else if (c === COLON) {
      if (++keys > maxKeys) throw new RequestError("too_complex", `the limit is ${maxKeys} keys`);
    } else if (c === OPEN_BRACE || c === OPEN_BRACKET) {
      if (++depth > maxDepth) throw new RequestError("too_complex", `the limit is a depth of ${maxDepth}`);
    } else if (c === CLOSE_BRACE || c === CLOSE_BRACKET) depth--;
  }
}

/**
 * The number or string under `key` of the object in `text`, which may be anything: of what is not worth parsing.
 * @returns as it stands there
 */
export function scalarIn(text: string, key: string): string | undefined {
  const wanted = `"${key}"`;
  for (let at = 0, depth = 0; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === OPEN_BRACE || c === OPEN_BRACKET) depth++;
    else if (c === CLOSE_BRACE || c === CLOSE_BRACKET) depth--;
    else if (c === QUOTE) {
      const end = stringEnd(text, at);
      const isKey = depth === 1 && end - at === wanted.length && text.startsWith(wanted, at);
      const scalar = isKey && SCALAR.exec(text.slice(end, end + 100))?.[1];
      if (scalar) return scalar;
      at = end - 1;
    }
  }
  return undefined;
}

const SCALAR = /^\s*:\s*(\d{1,16}|"[^"\\\p{Cc}]{0,64}")\s*[,}]/u;

/** `JSON.parse` that answers `undefined` for what is not JSON (no JSON text parses to `undefined`). */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the caller names the rule that was broken; V8's message would quote the input
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
