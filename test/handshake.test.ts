import { beforeAll, describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { refusal } from "./support/client.ts";
import { metric } from "./support/metrics.ts";
import { exchange, handshakeHeaders, head, problem, type RawAnswer, shake } from "./support/raw.ts";
import { type GatewayNode, logged, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

const ORIGIN = "https://app.example.com";

const stage = sharedStage();
let node: GatewayNode;

beforeAll(async () => {
  const env = {
    TIDEGATE_ALLOWED_ORIGINS: `${ORIGIN} http://localhost:3000`,
    TIDEGATE_TOKEN_COOKIE: "session",
    TIDEGATE_TRUSTED_PROXIES: "127.0.0.1/32, 10.0.0.0/8",
    TIDEGATE_LOG_LEVEL: "debug",
  };
  node = await stage.node({ env });
});

type Headers = Record<string, string | undefined>;

let requests = 0;

/** Refused with that code, and logged with a rule that matches. */
async function expectRefused(
  headers: Headers,
  status: number,
  code: string,
  rule: RegExp,
  body?: string,
): Promise<RawAnswer> {
  // Tells this one from all others in the log.
  const address = `203.0.113.${++requests}`;
  const answer = await shake(node.port, { ...headers, "X-Forwarded-For": address }, undefined, body);
  expect(answer.status).toBe(status);
  expect(problem(answer)).toMatchObject({ code });
  const entry = await logged(node, (entry) => entry.address === address);
  expect(entry).toMatchObject({ code, reason: expect.stringMatching(rule) });
  return answer;
}

describe.concurrent("a handshake", () => {
  const authorization = () => ({ Authorization: `Bearer ${token()}` });

  test.for<[string, Headers]>([
    ["as browsers send it", {}],
    ["with keep-alive, as Firefox sends it", { Connection: "keep-alive, Upgrade" }],
    ["in other letters", { Upgrade: "WebSocket", Connection: "upgrade" }],
    ["with several upgrades on offer", { Upgrade: "h2c, websocket" }],
    ["that says it has no body", { "Content-Length": "0" }],
    ["that offers compression, which is not taken", { "Sec-WebSocket-Extensions": "permessage-deflate" }],
  ])("is accepted %s", async ([, headers]) => {
    const answer = await shake(node.port, { ...authorization(), ...headers });
    expect(answer.status).toBe(101);
    expect(answer.headers).toMatchObject({ upgrade: expect.stringMatching(/^websocket$/i) });
    expect(answer.headers).not.toHaveProperty("sec-websocket-extensions");
    expect(answer.headers).not.toHaveProperty("sec-websocket-protocol");
  });

  test("is answered with the accept value of RFC 6455", async () => {
    const answer = await shake(node.port, { "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" });
    expect(answer.headers["sec-websocket-accept"]).toBe("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  });
});

describe.concurrent("a handshake that RFC 6455 forbids is refused, and logged with its rule", () => {
  test.for<[string, Headers, RegExp]>([
    ["no Upgrade", { Upgrade: undefined }, /Upgrade/],
    ["another Upgrade", { Upgrade: "h2c" }, /Upgrade/],
    ["an Upgrade that only contains the word", { Upgrade: "websocket13" }, /Upgrade/],
    ["no Connection", { Connection: undefined }, /Connection/],
    ["another Connection", { Connection: "keep-alive" }, /Connection/],
    ["no key", { "Sec-WebSocket-Key": undefined }, /Key/],
    ["an empty key", { "Sec-WebSocket-Key": "" }, /Key/],
    ["a short key", { "Sec-WebSocket-Key": "dGhlIHNhbXBsZQ==" }, /Key/],
    ["a key of 24 characters that is not base64", { "Sec-WebSocket-Key": "!!!!!!!!!!!!!!!!!!!!!!==" }, /Key/],
    ["a key of 18 bytes", { "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZWFi" }, /Key/],
    ["a key with bits in its padding", { "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZR==" }, /Key/],
  ])("with %s", async ([, headers, rule]) => {
    await expectRefused(headers, 400, "bad_handshake", rule);
  });

  test.for<[string, Headers, string]>([
    ["a body", { "Content-Length": "5" }, "hello"],
    ["a chunked body", { "Transfer-Encoding": "chunked" }, "0\r\n\r\n"],
  ])("with %s", async ([, headers, body]) => {
    await expectRefused(headers, 400, "bad_handshake", /body/, body);
  });

  test.for([["8"], ["0"], ["14"], ["1, 13"], [undefined]])(
    "with version %s: 426 says which one it speaks",
    async ([version]) => {
      const headers = { "Sec-WebSocket-Version": version };
      const answer = await expectRefused(headers, 426, "upgrade_required", /Version/);
      expect(answer.headers).toMatchObject({ "sec-websocket-version": "13", upgrade: "websocket" });
    },
  );

  test.for([["POST"], ["PUT"], ["HEAD"], ["DELETE"], ["OPTIONS"]])("with method %s", async ([method]) => {
    expect((await shake(node.port, {}, `${method} /ws HTTP/1.1`)).status).not.toBe(101);
  });

  test("without Host, by uWebSockets.js itself", async () => {
    expect((await shake(node.port, { Host: undefined })).status).toBe(400);
  });

  test("with HTTP/1.0", async () => {
    const answer = await exchange(node.port, head("GET /ws HTTP/1.0", handshakeHeaders()));
    expect(answer?.status).not.toBe(101);
  });

  test.for([["/"], ["/ws/"], ["/WS"], ["/ws/x"], ["/wsx"], ["//ws"], ["/%77s"]])("at %s", async ([path]) => {
    const answer = await shake(node.port, {}, `GET ${path} HTTP/1.1`);
    expect(answer.status).toBe(404);
    expect(problem(answer)).toMatchObject({ code: "not_found" });
  });
});

describe.concurrent("the origin of a handshake", () => {
  test.for([[ORIGIN], ["http://localhost:3000"]])("%s is listed, and accepted", async ([origin]) => {
    expect((await shake(node.port, { Origin: origin })).status).toBe(101);
  });

  test.for([
    ["null"],
    ["http://app.example.com"],
    ["https://app.example.com:8443"],
    ["https://app.example.com:443"],
    ["http://localhost"],
    ["https://app.example.com.evil.example"],
    ["https://evil-app.example.com"],
    ["https://sub.app.example.com"],
    ["https://APP.example.com"],
    ["HTTPS://app.example.com"],
    ["https://user@app.example.com"],
    ["https://app.example.com@evil.example"],
    ["https://app.example.com."],
    ["https://app.example.com/"],
    ["https://app.example.com%60.evil.example"],
    ["https://xn--pp-yia.example.com"],
    ["https://app.example.com https://evil.example"],
    ["file://"],
    ["*"],
  ])("%s is not listed: 403 before the upgrade", async ([origin]) => {
    const answer = await expectRefused({ Origin: origin }, 403, "origin_not_allowed", /Origin/);
    expect(answer.headers).not.toHaveProperty("access-control-allow-origin");
  });

  test("may be missing, unless a cookie is the credential", async () => {
    expect((await shake(node.port, {})).status).toBe(101);
    const cookie = { Cookie: `theme=dark; session=${token()}; x=1` };
    expect((await shake(node.port, { ...cookie, Origin: ORIGIN })).status).toBe(101);
    await expectRefused(cookie, 403, "origin_not_allowed", /cookie.*Origin/);
    await expectRefused({ ...cookie, Origin: "" }, 403, "origin_not_allowed", /cookie.*Origin/);
  });

  test("is compared with the scheme that a trusted proxy tells, and no other proxy", async ({ stage }) => {
    const sameOrigin = { TIDEGATE_ALLOWED_ORIGINS: "same-origin" };
    const via = async (to: GatewayNode, origin: string, proto: string | undefined) => {
      const headers = { Host: "gw.example.com", Origin: origin, "X-Forwarded-Proto": proto };
      return (await shake(to.port, headers)).status;
    };
    const behind = await stage.node({ env: { ...sameOrigin, TIDEGATE_TRUSTED_PROXIES: "127.0.0.1/32" } });
    expect(await via(behind, "https://gw.example.com", "https")).toBe(101);
    expect(await via(behind, "http://gw.example.com", "http")).toBe(101);
    expect(await via(behind, "http://gw.example.com", "https")).toBe(403);
    expect(await via(behind, "https://gw.example.com", undefined)).toBe(403);
    expect(await via(behind, "https://other.example.com", "https")).toBe(403);
    const direct = await stage.node({ env: { ...sameOrigin, TIDEGATE_TRUSTED_PROXIES: "10.0.0.0/8" } });
    expect(await via(direct, "https://gw.example.com", "https")).toBe(403);
    expect(await via(direct, "http://gw.example.com", undefined)).toBe(101);
  });
});

test("the client's address is the first one from the right that no trusted proxy has", async ({ stage }) => {
  const addressOf = async (to: GatewayNode, forwardedFor: string) => {
    const origin = `https://${Math.random()}.example`;
    await shake(to.port, { Origin: origin, "X-Forwarded-For": forwardedFor });
    return (await logged(to, (entry) => entry.origin === origin)).address;
  };
  expect(await addressOf(node, "203.0.113.7")).toBe("203.0.113.7");
  expect(await addressOf(node, "6.6.6.6, 203.0.113.7")).toBe("203.0.113.7");
  expect(await addressOf(node, "6.6.6.6, 203.0.113.7,10.1.2.3")).toBe("203.0.113.7");
  expect(await addressOf(node, "2001:db8::1")).toBe("2001:db8::1");
  expect(await addressOf(node, "unknown, 10.1.2.3")).toBe("10.1.2.3");
  expect(await addressOf(node, "')--")).toBe("127.0.0.1");
  const direct = await stage.node();
  expect(await addressOf(direct, "203.0.113.7")).toBe("127.0.0.1");
});

test("each refusal is counted by its code", async () => {
  const counted: [string, Headers][] = [
    ["bad_handshake", { Upgrade: undefined }],
    ["bad_handshake", { "Sec-WebSocket-Key": undefined }],
    ["upgrade_required", { "Sec-WebSocket-Version": "8" }],
    ["origin_not_allowed", { Origin: "null" }],
    ["bad_subprotocol", { "Sec-WebSocket-Protocol": "v2" }],
    ["token_invalid", { Authorization: "Bearer x" }],
    ["token_expired", { Authorization: `Bearer ${token({ expiresIn: -1 })}` }],
  ];
  for (const [code, headers] of counted) {
    const series = `tidegate_handshakes_refused_total{code="${code}"}`;
    const before = await metric(node, series);
    await shake(node.port, headers);
    expect((await metric(node, series)) - before, code).toBe(1);
  }
});

describe("a node's limit", () => {
  test("of handshakes per second is a 429 that says when to come back, and passes", async ({ stage }) => {
    const limited = await stage.node({ env: { TIDEGATE_HANDSHAKE_RATE: "3" } });
    await stage.clients(3, limited.webSocketUrl, { token: token() });
    const refused = await refusal(limited.webSocketUrl, { token: token() });
    expect(refused.status).toBe(429);
    expect(JSON.parse(refused.body)).toMatchObject({
      code: "handshake_rate",
      detail: expect.stringMatching(/^the limit is \d+ a second$/),
      temporary: true,
    });
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
    expect(await metric(limited, 'tidegate_handshakes_refused_total{code="handshake_rate"}')).toBe(1);
    await logged(limited, (entry) => entry.code === "handshake_rate");
    await until("it takes some again", async () => {
      await stage.client(limited.webSocketUrl, { token: token() });
      return true;
    });
  });

  test("of connections is a 503, turns readiness red, and passes when somebody leaves", async ({ stage }) => {
    const limited = await stage.node({ env: { TIDEGATE_MAX_CONNECTIONS: "2" } });
    const [first] = await stage.clients(2, limited.webSocketUrl, { token: token() });
    const refused = await refusal(limited.webSocketUrl, { token: token() });
    expect(refused.status).toBe(503);
    expect(JSON.parse(refused.body)).toMatchObject({ code: "over_capacity", temporary: true });
    expect(refused.headers["retry-after"]).toBeDefined();
    expect(await metric(limited, 'tidegate_handshakes_refused_total{code="over_capacity"}')).toBe(1);
    await logged(
      limited,
      (entry) => entry.code === "over_capacity" && /2 connections/.test(String(entry.reason)),
    );
    expect(await limited.isReady()).toBe(false);
    first?.stop();
    await until("it is ready again", () => limited.isReady());
    await stage.client(limited.webSocketUrl, { token: token() });
  });
});
