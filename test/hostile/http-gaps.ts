import type { Answers } from "./http.ts";

/** What the library does instead of what a case asks for. */
export interface Gap extends Answers {
  readonly why: string;
}

const HOST = "RFC 9112 3.2: Host is to be there once. It decides nothing here but `same-origin`.";
const NAME = "RFC 9112 5.1: a field name is a token. An empty one is skipped.";
const FIELD =
  "RFC 9112 5: a malformed field is to be answered with 400. It is answered by nothing until the idle timeout.";
const LINE = "RFC 9112 3: a request line without a version is to be answered with 400. It waits for more.";
const LENGTH =
  "RFC 9112 6.3: two lengths, or an empty one, are to be answered with 400. What follows runs as a request.";
const CODING =
  "RFC 9112 6.1: an unknown last coding is to be answered with 400 or 501. Every one is taken for chunked.";
const SEGMENT =
  "RFC 9112 2.2: a request is a stream. One that is cut around its version is answered with 505.";

const served = (why: string, ...statuses: number[]): Gap => ({ verdict: "served", statuses, why });
const silent = (name: string): [string, Gap] => [name, { verdict: "silent", statuses: [], why: FIELD }];
const cut = (name: string): [string, Gap] => [name, { verdict: "refused", statuses: [505], why: SEGMENT }];

/**
 * Known gaps of uWebSockets.js v20.49 by the names of their cases; they are why HAProxy is to stand in front. A case that
 * is listed must behave as it says here: a build that mends it fails the test, and its line goes.
 */
export const GAPS: ReadonlyMap<string, Gap> = new Map([
  ["header: an empty Host", served(HOST, 200)],
  ["header: two Hosts", served(HOST, 200)],
  ["header: an empty name", served(NAME, 200)],
  ["request line: HTTP/0.9", { verdict: "silent", statuses: [], why: LINE }],
  ["request line: no version", { verdict: "silent", statuses: [], why: LINE }],
  silent("header: no colon"),
  silent("header: a space before the colon"),
  silent("header: a name with a space"),
  silent("header: a name with a bracket"),
  silent("header: a name with NUL"),
  silent("header: a name that is not ASCII"),
  silent("header: a folded value"),
  silent("header: NUL in a value"),
  silent("header: BEL in a value"),
  silent("header: ESC in a value"),
  silent("header: CR in a value"),
  ["body: two lengths", served(LENGTH, 400, 200)],
  ["body: an empty length", served(LENGTH, 400, 200)],
  ["body: coding xchunked", served(CODING, 201)],
  ["body: coding chunked, identity", served(CODING, 201)],
  ["body: coding chunked twice", served(CODING, 201)],
  cut("segments: cut before the target"),
  cut("segments: cut within the version"),
  cut("segments: cut before the end of the version"),
  cut("segments: cut within the first line break"),
  cut("segments: of one byte"),
]);
