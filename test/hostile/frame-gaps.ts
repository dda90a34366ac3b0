import type { Observed } from "./frames.ts";

/** What the library does instead of what a case asks for. */
export interface Gap extends Observed {
  readonly why: string;
}

const alive = (why: string, ...replies: string[]): Gap => ({ fate: "alive", replies, why });

const MASK =
  "RFC 6455 5.1: a frame without the mask bit is unmasked with its next four bytes, never looked at. It protects " +
  "proxies from browsers, not us: what comes out is checked like any frame.";
const LENGTH = "RFC 6455 5.2: a length in more bytes than it needs is taken. It says the same.";
const NESTED =
  "RFC 6455 5.4: a binary frame within a text message is joined to it, and each end is delivered as a message. Both " +
  "are checked like any frame, the text one for its UTF-8 too.";
const CODE =
  "RFC 6455 7.4.2: close codes 1012 to 1014 and 3000 to 3999 are echoed as an empty close. The client is gone anyway.";
const EARLY =
  "RFC 6455 8.1: UTF-8 is checked at the end of a message, which is bounded, and not at the bad byte.";

/**
 * Known gaps of uWebSockets.js v20.49 by the names of their cases. A case that is listed must behave as it says here:
 * a build that mends it fails the test, and its line goes.
 */
export const GAPS: ReadonlyMap<string, Gap> = new Map([
  ["framing: a text that denies its mask", alive(MASK, "pong")],
  ["framing: a ping that denies its mask", alive(MASK, "PONG 78")],
  ["framing: a close that denies its mask", { fate: "ended", replies: ["CLOSE 1000"], why: MASK }],
  ["framing: 15 bytes in a length of 16 bits", alive(LENGTH, "pong")],
  ["framing: 15 bytes in a length of 64 bits", alive(LENGTH, "pong")],
  ["framing: 200 bytes in a length of 64 bits", alive(LENGTH, "pong")],
  ["framing: no bytes in a length of 16 bits", alive(LENGTH, "error bad_frame")],
  ["fragments: a binary within a text", alive(NESTED, "error bad_frame", "error bad_frame")],
  ...["FF", "a slash in two bytes", "a surrogate", "U+110000"].map((what): [string, Gap] => [
    `UTF-8: ${what} in a message that goes on`,
    alive(EARLY),
  ]),
  ...[1012, 1013, 1014, 3000, 3001, 3500, 3999].map((code): [string, Gap] => [
    `close: good code ${code}`,
    { fate: "ended", replies: ["CLOSE"], why: CODE },
  ]),
]);
