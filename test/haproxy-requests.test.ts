import { readFileSync } from "node:fs";
import type { OutgoingHttpHeaders } from "node:http2";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect } from "vitest";
import { root } from "../deploy/local/process.ts";
import { listen, statuses, Tap } from "./support/haproxy.ts";
import { http2 } from "./support/http2.ts";
import { ask, exchange, handshakeHeaders, head, shake } from "./support/raw.ts";
import { type GatewayNode, type Haproxy, logged, type Stage, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

// What HAProxy refuses, since a node would take it for something else, and what it has to let through.

const stage = sharedStage();
let node: GatewayNode;
let tap: Tap;
let haproxy: Haproxy;
let ca: Buffer;

const EXPLAIN = "/v1/explain?action=publish&channel=a";
const EVENTS = "/v1/channels/a/events";
const json = { "Content-Type": "application/json" };
const authorization = { Authorization: `Bearer ${token()}` };

beforeAll(async () => {
  const env = { TIDEGATE_ALLOWED_ORIGINS: "https://app.example", TIDEGATE_TRUSTED_PROXIES: "127.0.0.1/32" };
  node = await stage.node({ env });
  tap = stage.add(await Tap.start(node.port));
  haproxy = await stage.haproxy({ nodes: [{ port: tap.port, adminPort: node.adminPort }] });
  await haproxy.waitForNodes(1);
  ca = readFileSync(join(root, ".tidegate/certificate.pem"));
});

beforeEach(() => tap.clear());

const smuggled = "GET /v1/smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/** Sends it, and counts the answers: of HAProxy to the client, and of the node to HAProxy. */
async function send(lines: string[], body = smuggled): Promise<{ client: number[]; node: number[] }> {
  const text = await listen(haproxy.httpPort, [...lines, "", body].join("\r\n"));
  return { client: statuses(text), node: tap.answers };
}

describe("HAProxy never makes two requests out of one:", () => {
  const post = (...lines: string[]) => [`POST ${EVENTS} HTTP/1.1`, "Host: 127.0.0.1", ...lines];
  const get = (...lines: string[]) => ["GET /ws HTTP/1.1", "Host: 127.0.0.1", ...lines];

  test.for<[string, number, string[], string?]>([
    ["differing lengths", 400, post("Content-Length: 0", "Content-Length: 44")],
    ["an empty length", 400, post("Content-Length:")],
    ["differing lengths in a list", 400, post("Content-Length: 0, 44")],
    ["a negative length", 400, post("Content-Length: -1")],
    ["a length with a plus", 400, post("Content-Length: +5")],
    ["a hexadecimal length", 400, post("Content-Length: 0x2c")],
    [
      "a length and chunks",
      411,
      post("Content-Length: 5", "Transfer-Encoding: chunked"),
      `0\r\n\r\n${smuggled}`,
    ],
    ["chunks", 411, post("Transfer-Encoding: chunked"), `2e\r\n${smuggled}\r\n0\r\n\r\n`],
    [
      "trailers that look like a request",
      411,
      post("Transfer-Encoding: chunked"),
      "0\r\nGET:/x HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ["the coding identity", 400, post("Transfer-Encoding: identity", "Content-Length: 0")],
    ["the coding xchunked", 400, post("Transfer-Encoding: xchunked")],
    ["chunked twice", 400, post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")],
    ["chunked before gzip", 400, post("Transfer-Encoding: chunked, gzip")],
    ["a name with a space", 400, post("Transfer-Encoding : chunked")],
    ["an empty name", 400, post(": x", "Content-Length: 0")],
    ["a bare CR", 400, get("X: a\rContent-Length: 44")],
    ["a NUL in a value", 400, get("X: a\0b")],
    ["a BEL in a value", 400, get("X: a\x07b")],
    ["a DEL in a value", 400, get("X: a\x7fb")],
    ["a NUL in the path", 400, ["GET /ws\0 HTTP/1.1", "Host: 127.0.0.1"]],
    ["another Host", 400, get("Host: evil.example")],
    ["a Host that is not that of the URL", 400, ["GET http://evil.example/ws HTTP/1.1", "Host: 127.0.0.1"]],
    [
      "Upgrade: h2c",
      400,
      get("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQ"),
    ],
    ["no version", 400, ["GET /ws"]],
    ["CONNECT", 405, ["CONNECT 127.0.0.1:80 HTTP/1.1", "Host: 127.0.0.1:80"], ""],
    ["TRACE", 405, ["TRACE /ws HTTP/1.1", "Host: 127.0.0.1"], ""],
    ["PUT", 405, ["PUT /ws HTTP/1.1", "Host: 127.0.0.1"], ""],
    ["a length of 2^32 + 1", 413, post("Content-Length: 4294967297")],
    ["a length of 2^63", 400, post("Content-Length: 9223372036854775808")],
  ])("%s: %i, and the node hears of nothing", async ([, status, lines, body]) => {
    expect(await send(lines, body)).toEqual({ client: [status], node: [] });
  });

  test("a folded line is unfolded, and bare LF ends a line: one request each", async () => {
    expect(await send(["GET /ws HTTP/1.1", "Host: 127.0.0.1", "X: a", " Content-Length: 44"], "")).toEqual({
      client: [426],
      node: [426],
    });
    tap.clear();
    const text = await listen(haproxy.httpPort, "GET /ws HTTP/1.1\nHost: 127.0.0.1\nX: a\n\n");
    expect([statuses(text), tap.answers]).toEqual([[426], [426]]);
    expect(tap.asked).not.toMatch(/[^\r]\n/);
  });

  test("the same length twice is one length", async () => {
    const lines = post(
      ...["Content-Length: 10", "Content-Length: 10"],
      `Authorization: ${authorization.Authorization}`,
    );
    expect(await send([...lines, "Content-Type: application/json"], '{"data":1}')).toEqual({
      client: [201],
      node: [201],
    });
  });

  const large = `{"data":"${"x".repeat(40_000)}"}`;
  const trailer = { get: "/v1/smuggled HTTP/1.1" };

  test.for<
    [string, OutgoingHttpHeaders, string | undefined, OutgoingHttpHeaders | undefined, number, number[]]
  >([
    ["a body without a length", {}, '{"data":1}', undefined, 201, [201]],
    ["a body with one", { "content-length": 10 }, '{"data":1}', undefined, 201, [201]],
    ["trailers", {}, '{"data":1}', trailer, 400, []],
    ["trailers behind a length", { "content-length": 10 }, '{"data":1}', trailer, 400, []],
    ["trailers behind an empty body", { ":method": "GET", ":path": EXPLAIN }, "", trailer, 400, []],
    ["trailers behind more than a buffer", {}, large, trailer, 411, []],
    ["more than a buffer without a length", {}, large, undefined, 411, []],
    [
      "trailers behind more than a buffer of known length",
      { "content-length": large.length },
      large,
      trailer,
      201,
      [201],
    ],
  ])("%s, over HTTP/2", async ([, headers, body, trailers, status, ofNode], { stage }) => {
    const answer = await overHttp2(stage, { ":path": EVENTS, ":method": "POST", ...headers }, body, trailers);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([answer, tap.answers]).toEqual([status, ofNode]);
    expect(tap.asked).not.toContain("smuggled");
  });

  test("nor does the node die of any of it", async () => {
    expect(node.process.isRunning).toBe(true);
    expect((await ask(haproxy.httpPort, authorization, EXPLAIN)).status).toBe(200);
  });
});

async function overHttp2(
  stage: Stage,
  headers: OutgoingHttpHeaders,
  body?: string,
  trailers?: OutgoingHttpHeaders,
): Promise<unknown> {
  const session = http2(stage, haproxy, ca);
  const all = { authorization: authorization.Authorization, "content-type": "application/json", ...headers };
  const stream = session.request(all, {
    endStream: body === undefined,
    waitForTrailers: trailers !== undefined,
  });
  stream.on("wantTrailers", () => stream.sendTrailers(trailers ?? {}));
  if (body !== undefined) stream.end(body);
  return new Promise((resolve) => {
    stream.once("response", (answer) => resolve(answer[":status"]));
    for (const one of [stream, session]) one.on("error", resolve);
  });
}

describe("HAProxy lets through", () => {
  test.for([1_000, 6_144, 8_000])("a token of %i bytes", async (size) => {
    const pad = "x".repeat(Math.round((size - token({ claims: { pad: "" } }).length) * 0.75));
    const long = token({ claims: { pad } });
    expect(Math.abs(long.length - size)).toBeLessThan(16);
    const headers = { Authorization: `Bearer ${long}` };
    expect((await ask(haproxy.httpPort, headers, EXPLAIN)).status).toBe(200);
    expect((await shake(haproxy.httpPort, headers)).status).toBe(101);
  });

  test("bodies with a length, small and large, in one-byte segments too", async () => {
    const post = (body: string) =>
      head(`POST ${EVENTS} HTTP/1.1`, {
        Host: "a",
        ...json,
        ...authorization,
        "Content-Length": String(body.length),
      }) + body;
    const large = `{"data":"${"x".repeat(60_000)}"}`;
    expect((await exchange(haproxy.httpPort, post(large)))?.status).toBe(201);
    expect((await exchange(haproxy.httpPort, ...post('{"data":1}')))?.status).toBe(201);
  });

  test("preflights", async () => {
    const headers = { Origin: "https://app.example", "Access-Control-Request-Method": "POST" };
    const answer = await ask(haproxy.httpPort, headers, EVENTS, "OPTIONS");
    expect([answer.status, answer.headers["access-control-allow-origin"]]).toEqual([
      204,
      "https://app.example",
    ]);
  });

  test("tabs and letters of any language in a header, and a WebSocket however it is spelt", async () => {
    const headers = { ...authorization, X: "a\tb", Y: "p0p0 äöü" };
    expect((await ask(haproxy.httpPort, headers, EXPLAIN)).status).toBe(200);
    for (const Upgrade of ["WebSocket", "WEBSOCKET"])
      expect((await shake(haproxy.httpPort, { Upgrade })).status).toBe(101);
  });

  test("no more than the limits: heads of 15 KiB, 1 MiB of body", async () => {
    const padded = (bytes: number) =>
      ask(haproxy.httpPort, { ...authorization, X: "x".repeat(bytes) }, EXPLAIN);
    expect((await padded(5 * 1024)).status).toBe(200);
    for (const kib of [16, 64]) expect((await padded(kib * 1024)).status).toBe(400);
    const many = Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`X-${i}`, "x"]));
    expect((await ask(haproxy.httpPort, many)).status).toBe(400);
    expect((await ask(haproxy.httpPort, authorization, `${EXPLAIN}&x=${"y".repeat(8_192)}`)).status).toBe(
      200,
    );
    const post = { ...json, ...authorization, "Content-Length": "1048577" };
    expect((await ask(haproxy.httpPort, post, EVENTS, "POST")).status).toBe(413);
  });
});

test.for([
  "/metrics%2f",
  "/metrics%00",
  "/metrics;x",
  "//metrics",
  "///metrics",
  "/METRICS?",
  "/./metrics",
  "/.//.//metrics",
  "/%2e/metrics",
  "/%2F%2Fmetrics",
  "/%6detrics",
  "/%256detrics",
  "/x/../metrics",
  "/x/%2e%2e/metrics",
  "http://127.0.0.1/metrics",
  "/HealthZ",
  "//readyz",
])("HAProxy gives nobody the admin content by %s", async (path) => {
  const answer = await ask(haproxy.httpPort, {}, path);
  expect(answer.status).toBe(404);
  expect(answer.body).not.toMatch(/tidegate_|checks|"ok"/);
});

describe("a client cannot choose its address", () => {
  test("by X-Forwarded-For, however often and however spelt", async () => {
    for (const names of [["X-Forwarded-For"], ["x-forwarded-for", "X-FORWARDED-FOR"]]) {
      tap.clear();
      const lines = names.map((name) => `${name}: 6.6.6.6`);
      await send(["GET /ws HTTP/1.1", "Host: 127.0.0.1", ...lines], "");
      expect(tap.asked.match(/x-forwarded-for: .*/gi)).toEqual([expect.stringMatching(/: 127\.0\.0\.1\r?$/)]);
    }
    const origin = "https://forged.example";
    await shake(haproxy.httpPort, { Origin: origin, "X-Forwarded-For": "6.6.6.6" });
    expect(await logged(node, (entry) => entry.origin === origin)).toMatchObject({ address: "127.0.0.1" });
  });

  test("by a PROXY line of version 1 or 2", async () => {
    const v2 = Buffer.from("0d0a0d0a000d0a515549540a2111000c01020304050607081f901f90", "hex");
    const v1 = Buffer.from("PROXY TCP4 6.6.6.6 127.0.0.1 1 2\r\n");
    for (const line of [v1, v2]) {
      const request = Buffer.concat([line, Buffer.from(head("GET /ws HTTP/1.1", handshakeHeaders()))]);
      expect(statuses(await listen(haproxy.httpPort, request))).toEqual([400]);
    }
    expect(tap.answers).toEqual([]);
  });
});
