import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { beforeAll, describe, expect } from "vitest";
import type { Client } from "./support/client.ts";
import { metric } from "./support/metrics.ts";
import { exchange, head, problem, type RawAnswer } from "./support/raw.ts";
import { type GatewayNode, logged, sharedStage, test } from "./support/servers.ts";
import { SECRET, token } from "./support/token.ts";
import { ID } from "./tools/id.ts";

const ORIGIN = "https://app.example.com";
const EVENTS = "/v1/channels/chat-123/events";

const stage = sharedStage();
let node: GatewayNode;
let client: Client;

beforeAll(async () => {
  const env = {
    TIDEGATE_ALLOWED_ORIGINS: ORIGIN,
    TIDEGATE_GRANTS: '{"public:*":["subscribe"],"user:{sub}:*":["subscribe","publish"]}',
    TIDEGATE_TOKEN_COOKIE: "session",
  };
  node = await stage.node({ env });
  client = await stage.client(node.webSocketUrl, { token: token(), channels: ["chat-123"] });
  await client.next("subscribed");
});

type Headers = Record<string, string | undefined>;

async function request(method: string, path: string, headers: Headers = {}, body = ""): Promise<RawAnswer> {
  const length = body === "" && method === "GET" ? undefined : String(Buffer.byteLength(body));
  const all = { Host: "127.0.0.1", Authorization: `Bearer ${token()}`, "Content-Length": length, ...headers };
  const answer = await exchange(node.port, head(`${method} ${path} HTTP/1.1`, all) + body);
  if (!answer) throw new Error("the connection ended without an answer");
  return answer;
}

function post(body: string, headers: Headers = {}, path = EVENTS): Promise<RawAnswer> {
  return request("POST", path, { "Content-Type": "application/json", ...headers }, body);
}

/** A problem+json answer with that code. */
function expectProblem(answer: RawAnswer, status: number, code: string): Record<string, unknown> {
  expect([answer.status, answer.body]).toEqual([status, expect.stringContaining(code)]);
  const body = problem(answer);
  expect(body).toMatchObject({
    type: `urn:tidegate:problem:${code}`,
    title: expect.any(String),
    code,
    temporary: expect.any(Boolean),
  });
  expect(answer.headers["cache-control"]).toBe("no-store");
  return body;
}

const bearer = (options: Parameters<typeof token>[0]) => ({ Authorization: `Bearer ${token(options)}` });

describe("publishing over HTTP", () => {
  test("answers 201 with the number of nodes that heard it", async () => {
    const answer = await post('{"data":{"text":"hi"}}');
    expect(answer.status).toBe(201);
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(JSON.parse(answer.body)).toEqual({ channel: "chat-123", id: ID, listeners: 1 });
    expect(await client.next((frame) => frame.timestamp !== undefined)).toEqual({
      type: "message",
      channel: "chat-123",
      id: ID,
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      data: { text: "hi" },
      sender: "user-1",
    });
    const nobody = await post('{"data":1}', {}, "/v1/channels/nobody/events");
    expect(JSON.parse(nobody.body)).toEqual({ channel: "nobody", id: ID, listeners: 0 });
  });

  test.for([
    "12345678901234567890",
    "1e999",
    "-0.0",
    '{ "b" : 1 , "a" : [ ] }',
    '"\\u00e9\\ud800"',
    '"世界 👋"',
    "null",
    "false",
    '{"__proto__":{"admin":true},"a":1,"a":2}',
  ])("delivers data exactly as written: %s", async (data) => {
    expect((await post(` {"type":"order","x":[{"data":0}],"data": ${data}  } \n`)).status).toBe(201);
    await client.next("order");
    expect(client.texts.at(-1)).toContain(`,"data":${data},"sender":"user-1"}`);
  });

  test("takes the channel percent-encoded, and also a body in chunks", async () => {
    for (const path of ["/v1/channels/chat%2D123/events", "/v1/channels/%63hat-123/events?x=1"]) {
      expect(JSON.parse((await post('{"data":1}', {}, path)).body)).toEqual({
        channel: "chat-123",
        id: ID,
        listeners: 1,
      });
    }
    const colon = await post('{"data":1}', {}, "/v1/channels/a%3Ab/events");
    expect(JSON.parse(colon.body)).toMatchObject({ channel: "a:b" });
    const chunked = { "Content-Type": "application/json; charset=utf-8", "Content-Length": undefined };
    const chunks = '6\r\n{"data\r\n5\r\n":42}\r\n0\r\n\r\n';
    const answer = await request("POST", EVENTS, { ...chunked, "Transfer-Encoding": "chunked" }, chunks);
    expect(answer.status).toBe(201);
    await client.next((frame) => frame.data === 42);
  });

  test("lets everybody speak for themselves, and for others with `publish_as`", async () => {
    const chat = (...actions: string[]) => bearer({ sub: "bot", channels: { "chat-*": actions } });
    await post('{"type":"own","data":1,"sender":"bot"}', chat("publish"));
    expect(await client.next("own")).toMatchObject({ sender: "bot" });
    expectProblem(await post('{"data":1,"sender":"ann"}', chat("publish")), 403, "forbidden");
    await post('{"type":"other","data":1,"sender":"ann \\"quoted\\""}', chat("publish", "publish_as"));
    expect(await client.next("other")).toMatchObject({ sender: 'ann "quoted"' });
    for (const sender of ['""', "7", "{}", "null", `"${"x".repeat(257)}"`]) {
      expectProblem(
        await post(`{"data":1,"sender":${sender}}`, chat("publish", "publish_as")),
        400,
        "bad_event",
      );
    }
  });

  test("counts what it published, and what it refused by code", async () => {
    const count = (result: string) => metric(node, `tidegate_published_total{result="${result}"}`);
    const before = await Promise.all(["ok", "forbidden"].map(count));
    await post('{"data":1}');
    await post('{"data":1}', bearer({ channels: {} }));
    expect(await Promise.all(["ok", "forbidden"].map(count))).toEqual(before.map((n) => n + 1));
  });
});

describe("publishing over HTTP is refused", () => {
  test("without a token, or with a bad one", async () => {
    const missing = await post('{"data":1}', { Authorization: undefined });
    expectProblem(missing, 401, "token_missing");
    expect(missing.headers["www-authenticate"]).toBe("Bearer");
    const expired = await post('{"data":1}', bearer({ expiresIn: -1 }));
    expectProblem(expired, 401, "token_expired");
    expect(expired.headers["www-authenticate"]).toMatch(/invalid_token.*expired/);
    expectProblem(await post('{"data":1}', bearer({ key: "x".repeat(32) })), 401, "token_invalid");
    // The log names the rule, as the answer does not.
    await logged(node, (entry) => entry.code === "token_expired" && /^expired at/.test(String(entry.reason)));
    await logged(node, (entry) => entry.code === "token_invalid" && entry.reason === "invalid signature");
    for (const Authorization of ["Bearer", "Bearer a b", "Basic dXNlcjpwdw==", SECRET]) {
      expect((await post('{"data":1}', { Authorization })).status).toBe(401);
    }
  });

  test("without a grant, whatever else the token grants", async () => {
    const channels = {
      "chat-12": ["publish"],
      "chat-1234*": ["publish"],
      "chat-123": ["subscribe", "publish_as"],
    };
    const body = expectProblem(await post('{"data":1}', bearer({ channels })), 403, "forbidden");
    expect(body).not.toHaveProperty("hint"); // in development mode only
    // To the log: which grant would have done.
    expectProblem(
      await post('{"data":1}', bearer({ channels }), "/v1/channels/denied/events"),
      403,
      "forbidden",
    );
    const entry = await logged(node, (entry) => entry.channel === "denied");
    expect(entry).toMatchObject({ code: "forbidden", hint: expect.stringContaining("TIDEGATE_GRANTS") });
  });

  test("by the gateway's own channels", async () => {
    expectProblem(await post('{"data":1}', {}, "/v1/channels/job:7/events"), 403, "reserved_channel");
  });

  test.for([
    ["%zz"],
    ["a%2Fb"],
    ["a%20b"],
    ["%00"],
    ["-a"],
    ["*"],
    ["chat-%2A"],
    ["x".repeat(201)],
    ["%E4%B8%96"],
    ["%24x"],
  ])("with a malformed channel: %.20s", async ([name]) => {
    expectProblem(await post('{"data":1}', {}, `/v1/channels/${name}/events`), 400, "bad_channel");
  });

  test.for([
    [undefined],
    ["text/plain"],
    ["application/x-www-form-urlencoded"],
    ["application/jsonx"],
    ["application/json-seq"],
  ])("with the media type %s", async ([type]) => {
    expectProblem(await post('{"data":1}', { "Content-Type": type }), 415, "unsupported_media_type");
  });

  test.for([
    ["", "bad_frame"],
    ["hi", "bad_frame"],
    ["[1]", "bad_frame"],
    ["null", "bad_frame"],
    ['{"data":1}}', "bad_frame"],
    ['{"data":NaN}', "bad_frame"],
    ['\ufeff{"data":1}', "bad_frame"],
    ["{}", "bad_event"],
    ['{"type":"order"}', "bad_event"],
    ['{"type":"welcome","data":1}', "bad_event"],
    ['{"type":"$join","data":1}', "bad_event"],
    ['{"type":"a b","data":1}', "bad_event"],
    ['{"type":null,"data":1}', "bad_event"],
    [`{"type":"${"t".repeat(65)}","data":1}`, "bad_event"],
  ] as [string, string][])("with the body %.40s: %s", async ([body, code]) => {
    expectProblem(await post(body), 400, code);
  });

  test("with a body that is not UTF-8", async () => {
    const start = head(`POST ${EVENTS} HTTP/1.1`, {
      Host: "127.0.0.1",
      Authorization: `Bearer ${token()}`,
      "Content-Type": "application/json",
      "Content-Length": "12",
    });
    const answer = await exchange(
      node.port,
      Buffer.concat([Buffer.from(start), Buffer.from('{"data":"\xff"}', "latin1")]),
    );
    expectProblem(answer as RawAnswer, 400, "bad_frame");
  });

  test("with a body over the limit, and one byte less is published", async () => {
    const body = (length: number) => `{"data":"${"x".repeat(length - 11)}"}`;
    expect((await post(body(65_536))).status).toBe(201);
    expectProblem(await post(body(65_537)), 413, "too_big");
    expectProblem(await post(body(2_000_000)), 413, "too_big");
    const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
    const headers = {
      "Content-Type": "application/json",
      "Content-Length": undefined,
      "Transfer-Encoding": "chunked",
    };
    expectProblem(await request("POST", EVENTS, headers, `${chunk}${chunk}0\r\n\r\n`), 413, "too_big");
  });

  test("from a page of a foreign origin, and from a cookie without any", async () => {
    expectProblem(await post('{"data":1}', { Origin: "https://evil.example" }), 403, "origin_not_allowed");
    const cookie = { Authorization: undefined, Cookie: `session=${token()}` };
    expectProblem(await post('{"data":1}', cookie), 403, "origin_not_allowed");
    expect((await post('{"data":1}', { ...cookie, Origin: ORIGIN })).status).toBe(201);
  });
});

describe("explain", () => {
  const explain = async (query: string, headers: Headers = {}) =>
    request("GET", `/v1/explain?${query}`, headers);

  test("names the rule that grants, or what would", async () => {
    const grants = { "chat-*": ["subscribe"] };
    const of = async (action: string, channel: string) =>
      JSON.parse(
        (await explain(`action=${action}&channel=${channel}`, bearer({ sub: "ann", channels: grants }))).body,
      );
    expect(await of("subscribe", "chat-123")).toEqual({
      user: "ann",
      action: "subscribe",
      channel: "chat-123",
      allowed: true,
      rule: expect.stringContaining('channels["chat-*"]'),
    });
    expect(await of("publish", "chat-123")).toMatchObject({
      allowed: false,
      reason: expect.stringContaining("publish"),
      cure: expect.stringMatching(/"chat-123": \["publish"\].*TIDEGATE_GRANTS/),
    });
    expect(await of("subscribe", "public:news")).toMatchObject({
      allowed: true,
      rule: expect.stringContaining("public:*"),
    });
    expect(await of("publish", "user:ann:inbox")).toMatchObject({
      allowed: true,
      rule: expect.stringContaining("user:{sub}:*"),
    });
    expect(await of("publish", "user:bob:inbox")).toMatchObject({ allowed: false });
  });

  test("says what is wrong with the question", async () => {
    expectProblem(await explain("channel=chat-123"), 400, "bad_frame");
    expectProblem(await explain("action=fly&channel=chat-123"), 400, "bad_frame");
    expectProblem(await explain("action=toString&channel=chat-123"), 400, "bad_frame");
    expectProblem(await explain("action=subscribe"), 400, "bad_channel");
    expectProblem(await explain("action=subscribe&channel=a%20b"), 400, "bad_channel");
    expectProblem(
      await explain("action=subscribe&channel=a", { Authorization: undefined }),
      401,
      "token_missing",
    );
  });
});

describe("the API", () => {
  test("knows nothing else", async () => {
    for (const path of [
      "/",
      "/v1",
      "/v1/",
      "/v2/explain",
      "/v1/channels//events",
      `${EVENTS}/`,
      "/metrics",
      "/healthz",
    ]) {
      expectProblem(await request("GET", path), 404, "not_found");
    }
    expectProblem(await request("POST", "/v1/channels/a/b/events"), 404, "not_found");
  });

  test("says which methods a path takes", async () => {
    for (const method of ["PUT", "PATCH"]) {
      const answer = await request(method, EVENTS);
      expectProblem(answer, 405, "method_not_allowed");
      expect(answer.headers.allow).toBe("POST, GET, HEAD, DELETE, OPTIONS");
    }
    const answer = await post("{}", {}, "/v1/explain?action=subscribe&channel=a");
    expectProblem(answer, 405, "method_not_allowed");
    expect(answer.headers.allow).toBe("GET, HEAD, OPTIONS");
  });

  test("answers the preflights of allowed origins, and lets their pages read the answers", async () => {
    const preflight = (Origin: string) => {
      const asks = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
      };
      return request("OPTIONS", EVENTS, { Authorization: undefined, Origin, ...asks });
    };
    const allowed = await preflight(ORIGIN);
    expect(allowed.status).toBe(204);
    expect(allowed.headers).toMatchObject({
      "access-control-allow-origin": ORIGIN,
      "access-control-allow-methods": expect.stringContaining("POST"),
      "access-control-allow-headers": expect.stringMatching(/authorization.*content-type/i),
      vary: "Origin",
    });
    const foreign = await preflight("https://evil.example");
    expect(foreign.status).toBe(403);
    expect(foreign.headers).not.toHaveProperty("access-control-allow-origin");
    for (const answer of [
      await post('{"data":1}', { Origin: ORIGIN }),
      await post("x", { Origin: ORIGIN }),
    ]) {
      expect(answer.headers).toMatchObject({ "access-control-allow-origin": ORIGIN, vary: "Origin" });
    }
  });

  test("keeps a connection for the next request", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const headers = { authorization: `Bearer ${token()}` };
    const ask = async () => {
      const sent = get(`${node.url}/v1/explain?action=publish&channel=a`, { agent, headers });
      const [answer] = (await once(sent, "response")) as [IncomingMessage];
      await text(answer);
      return { status: answer.statusCode, reused: sent.reusedSocket };
    };
    expect(await ask()).toEqual({ status: 200, reused: false });
    expect(await ask()).toEqual({ status: 200, reused: true });
    agent.destroy();
  });

  test("survives clients that go in the middle of a request", async () => {
    const start = head(`POST ${EVENTS} HTTP/1.1`, {
      Host: "127.0.0.1",
      Authorization: `Bearer ${token()}`,
      "Content-Type": "application/json",
      "Content-Length": "1000",
    });
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const socket = connect({ port: node.port, host: "127.0.0.1" });
        await new Promise((resolve) => socket.write(`${start}{"data":`, resolve));
        socket.resetAndDestroy();
      }),
    );
    expect((await post('{"data":1}')).status).toBe(201);
    expect(node.process.isRunning).toBe(true);
  });
});
