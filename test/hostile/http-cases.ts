import { handshakeHeaders, head } from "../support/raw.ts";
import { token } from "../support/token.ts";
import type { Verdict } from "./http.ts";

export interface HttpCase {
  readonly name: string;
  readonly segments: readonly (string | Buffer)[];
  /** What RFC 9112 asks for, or our own limits within it. */
  readonly verdict: Verdict;
}

const LINE = "GET /v1/explain?action=subscribe&channel=a HTTP/1.1";
const HOST = "Host: 127.0.0.1";
const AUTHORIZATION = `Authorization: Bearer ${token()}`;
const EVENTS = "POST /v1/channels/a/events HTTP/1.1";
const JSON_TYPE = "Content-Type: application/json";
/** Answered with 200 by whoever takes it for a request. */
const GOOD = request(LINE, [HOST, AUTHORIZATION]);

function request(line: string, lines: readonly string[], body = ""): string {
  return `${[line, ...lines, "", ""].join("\r\n")}${body}`;
}

/** A good request but for its request line. */
const withLine = (line: string) => request(line, [HOST, AUTHORIZATION]);
/** A good request but for further header lines. */
const withLines = (...lines: string[]) => request(LINE, [HOST, AUTHORIZATION, ...lines]);
/** A publish, with everything but what says how long its body is. */
const publish = (lines: readonly string[], body: string) =>
  request(EVENTS, [HOST, AUTHORIZATION, JSON_TYPE, ...lines], body);
const handshake = (headers: Record<string, string | undefined>, line = "GET /ws HTTP/1.1") =>
  head(line, handshakeHeaders(headers));

type Row = readonly [name: string, sent: string | Buffer | readonly (string | Buffer)[]];

function rows(family: string, verdict: Verdict, list: readonly Row[]): HttpCase[] {
  return list.map(([name, sent]) => ({
    name: `${family}: ${name}`,
    segments: Array.isArray(sent) ? (sent as (string | Buffer)[]) : [sent as string | Buffer],
    verdict,
  }));
}

const lines = [
  ...rows("request line", "served", [
    ["a good one", GOOD],
    ["a target of 8 KiB", withLine(LINE.replace("a HTTP", `a&x=${"x".repeat(8_192)} HTTP`))],
  ]),
  ...rows("request line", "refused", [
    ["HTTP/0.9", "GET /\r\n\r\n"],
    ["HTTP/1.0", withLine(LINE.replace("1.1", "1.0"))],
    ["HTTP/2.0", withLine(LINE.replace("1.1", "2.0"))],
    ["HTTP/1.10", withLine(`${LINE}0`)],
    ["HTTP/11", withLine(LINE.replace("1.1", "11"))],
    ["http/1.1", withLine(LINE.replace("HTTP", "http"))],
    ["no version", withLine(LINE.replace(" HTTP/1.1", ""))],
    ["no method", withLine(LINE.replace("GET", ""))],
    ["no target", withLine("GET  HTTP/1.1")],
    ["a method in lower case", withLine(LINE.replace("GET", "get"))],
    ["a method nobody knows", withLine(LINE.replace("GET", "FOO"))],
    ["a method that is no token", withLine(LINE.replace("GET", "G\x01T"))],
    ["two spaces before the version", withLine(LINE.replace(" HTTP", "  HTTP"))],
    ["a tab before the version", withLine(LINE.replace(" HTTP", "\tHTTP"))],
    ["a space before the method", withLine(` ${LINE}`)],
    ["NUL in the target", withLine(LINE.replace("explain", "expl\0ain"))],
    ["a space in the target", withLine(LINE.replace("explain", "expl ain"))],
    ["a path with ..", withLine(LINE.replace("/v1", "/x/../v1"))],
    ["a path with //", withLine(LINE.replace("/v1", "//v1"))],
    ["a path with an encoded slash", withLine(LINE.replace("/explain", "%2fexplain"))],
    ["CONNECT", withLine("CONNECT 127.0.0.1:80 HTTP/1.1")],
    ["TRACE", withLine(LINE.replace("GET", "TRACE"))],
    ["a target of 20 KiB", withLine(LINE.replace("a HTTP", `${"a".repeat(20_000)} HTTP`))],
    ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["a TLS hello", Buffer.from("16030100a5010000a10303", "hex")],
    ["PROXY, version 1", `PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n${GOOD}`],
    ["zeros", Buffer.alloc(1_000)],
    ["line breaks", "\r\n".repeat(20_000)],
  ]),
];

const headers = [
  ...rows("header", "served", [
    ["an empty value", withLines("X-Test:")],
    ["no space behind the colon", withLines("X-Test:x")],
    ["a tab in a value", withLines("X-Test: a\tb")],
    ["UTF-8 in a value", Buffer.from(withLines("X-Test: é"))],
    [
      "a token of 6 KiB",
      request(LINE, [HOST, `Authorization: Bearer ${token({ claims: { x: "x".repeat(4_500) } })}`]),
    ],
    ["12 KiB of others", withLines(`X-Test: ${"x".repeat(12_000)}`)],
    ["twenty", withLines(...Array.from({ length: 20 }, (_, i) => `X-${i}: x`))],
  ]),
  ...rows("header", "refused", [
    ["no Host", request(LINE, [AUTHORIZATION])],
    ["an empty Host", request(LINE, ["Host:", AUTHORIZATION])],
    ["two Hosts", withLines("Host: other")],
    ["no colon", withLines("X-Test")],
    ["a space before the colon", withLines("X-Test : x")],
    ["an empty name", withLines(": x")],
    ["a name with a space", withLines("X Test: x")],
    ["a name with a bracket", withLines("X[Test]: x")],
    ["a name with NUL", withLines("X\0Test: x")],
    ["a name that is not ASCII", withLines("X-Tést: x")],
    ["a folded value", withLines("X-Test: a\r\n b")],
    ["NUL in a value", withLines("X-Test: a\0b")],
    ["BEL in a value", withLines("X-Test: a\x07b")],
    ["ESC in a value", withLines("X-Test: a\x1b[31mb")],
    ["CR in a value", withLines("X-Test: a\rb")],
    ["LF alone at the ends", GOOD.replaceAll("\r\n", "\n")],
    ["CR alone at the ends", GOOD.replaceAll("\r\n", "\r")],
    ["64 KiB", withLines(`X-Test: ${"x".repeat(64 * 1024)}`)],
    ["150 of them", withLines(...Array.from({ length: 150 }, (_, i) => `X-${i}: x`))],
    ["10,000 of them", withLines(...Array.from({ length: 10_000 }, (_, i) => `X-${i}: x`))],
  ]),
];

const BODY = '{"data":1}';
const CHUNKED = "Transfer-Encoding: chunked";
const LAST_CHUNK = "0\r\n\r\n";
const chunked = (chunk: string) => publish([CHUNKED], `${chunk}${LAST_CHUNK}`);
const bodies = [
  ...rows("body", "served", [
    ["of a length", publish(["Content-Length: 10"], BODY)],
    ["in a chunk", chunked(`a\r\n${BODY}\r\n`)],
    ["in a chunk with a size in capitals", chunked(`A\r\n${BODY}\r\n`)],
    ["in two chunks", chunked(`5\r\n${BODY.slice(0, 5)}\r\n5\r\n${BODY.slice(5)}\r\n`)],
    ["apart from its head", [publish(["Content-Length: 10"], ""), BODY.slice(0, 4), BODY.slice(4)]],
  ]),
  ...rows("body", "refused", [
    // Each is followed by what would be a good request to whoever reads the length otherwise.
    ["two lengths", publish(["Content-Length: 0", `Content-Length: ${GOOD.length}`], GOOD)],
    ["the same length twice, and no JSON", publish(["Content-Length: 1", "Content-Length: 1"], "x")],
    ["lengths in a list", publish([`Content-Length: 0, ${GOOD.length}`], GOOD)],
    ["an empty length", publish(["Content-Length:"], GOOD)],
    ["a negative length", publish(["Content-Length: -1"], GOOD)],
    ["a length with a plus", publish(["Content-Length: +10"], BODY)],
    ["a length in hexadecimal", publish(["Content-Length: 0xa"], BODY)],
    ["a length with a fraction", publish(["Content-Length: 10.0"], BODY)],
    ["a length that is no number", publish(["Content-Length: ten"], GOOD)],
    ["a length of 2^64 + 10", publish(["Content-Length: 18446744073709551626"], BODY)],
    ["a length of 100 digits", publish([`Content-Length: ${"9".repeat(100)}`], BODY)],
    ["a length over the limit", publish(["Content-Length: 65537"], "x".repeat(65_537))],
    ["a length, then chunks", publish(["Content-Length: 5", CHUNKED], `${LAST_CHUNK}${GOOD}`)],
    ["chunks, then a length", publish([CHUNKED, "Content-Length: 5"], `${LAST_CHUNK}${GOOD}`)],
    ["coding identity", publish(["Transfer-Encoding: identity"], GOOD)],
    ["coding xchunked", publish(["Transfer-Encoding: xchunked"], `a\r\n${BODY}\r\n${LAST_CHUNK}`)],
    [
      "coding chunked, identity",
      publish(["Transfer-Encoding: chunked, identity"], `a\r\n${BODY}\r\n${LAST_CHUNK}`),
    ],
    ["coding chunked twice", publish([CHUNKED, CHUNKED], `a\r\n${BODY}\r\n${LAST_CHUNK}`)],
    ["a chunk of negative size", chunked(`-a\r\n${BODY}\r\n`)],
    ["a chunk of a size that is no number", chunked(`ten\r\n${BODY}\r\n`)],
    ["a chunk of 2^64 + 10", chunked(`1000000000000000a\r\n${BODY}\r\n`)],
    ["a chunk of no size", chunked(`\r\n${BODY}\r\n`)],
    ["a chunk longer than its size", chunked(`9\r\n${BODY}\r\n`)],
    ["chunks over the limit", chunked(`${`1000\r\n${"x".repeat(4_096)}\r\n`.repeat(17)}`)],
  ]),
];

const handshakes = [
  ...rows("handshake", "served", [["a good one", handshake({})]]),
  ...rows("handshake", "refused", [
    ["no Upgrade", handshake({ Upgrade: undefined })],
    ["no Connection", handshake({ Connection: undefined })],
    ["version 8", handshake({ "Sec-WebSocket-Version": "8" })],
    ["a bad key", handshake({ "Sec-WebSocket-Key": "!!!!!!!!!!!!!!!!!!!!!!==" })],
    ["POST", handshake({}, "POST /ws HTTP/1.1")],
    ["HTTP/1.0", handshake({}, "GET /ws HTTP/1.0")],
    ["a length and a smuggled request", `${handshake({ "Content-Length": String(GOOD.length) })}${GOOD}`],
    ["a body in chunks", `${handshake({ "Transfer-Encoding": "chunked" })}${LAST_CHUNK}`],
    ["another path", handshake({}, "GET /ws/.. HTTP/1.1")],
  ]),
];

const cut = (name: string, at: number): Row => [`cut ${name}`, [GOOD.slice(0, at), GOOD.slice(at)]];
const segments = rows("segments", "served", [
  cut("within the method", 1),
  cut("behind the method", 3),
  cut("before the target", 4),
  cut("within the target", 20),
  cut("within the version", LINE.length - 5),
  cut("before the end of the version", LINE.length - 1),
  cut("within the first line break", LINE.length + 1),
  cut("within a header's name", LINE.length + 3),
  cut("within the last line break", GOOD.length - 1),
  ["of one byte", [...GOOD]],
]);

export const HTTP_CASES: readonly HttpCase[] = [...lines, ...headers, ...bodies, ...handshakes, ...segments];
