import jsonwebtoken from "jsonwebtoken";
import { beforeAll, describe, expect } from "vitest";
import { refusal } from "./support/client.ts";
import { ask, problem, shake } from "./support/raw.ts";
import { type GatewayNode, logged, sharedStage, test } from "./support/servers.ts";
import { SECRET, token } from "./support/token.ts";

const ORIGIN = "https://app.example.com";

const stage = sharedStage();
let node: GatewayNode;

beforeAll(async () => {
  node = await stage.node({ env: { TIDEGATE_ALLOWED_ORIGINS: ORIGIN, TIDEGATE_TOKEN_COOKIE: "session" } });
});

describe("a token", () => {
  const user = async (path: string, options: Parameters<typeof stage.client>[1]) => {
    const client = await stage.client(`ws://127.0.0.1:${node.port}${path}`, options);
    return { user: client.frames[0]?.user, protocol: client.socket.protocol };
  };

  test("is taken from the header, the subprotocol, the query and the cookie", async () => {
    const ann = token({ sub: "ann" });
    expect(await user("/ws", { headers: { authorization: `bearer  ${ann}` } })).toEqual({
      user: "ann",
      protocol: "",
    });
    const protocols = ["tidegate.v1", `bearer.${ann}`];
    expect(await user("/ws", { protocols })).toEqual({ user: "ann", protocol: "tidegate.v1" });
    expect(await user(`/ws?token=${ann}`, {})).toMatchObject({ user: "ann" });
    const headers = { cookie: `session=${ann}` };
    expect(await user("/ws", { headers, origin: ORIGIN })).toMatchObject({ user: "ann" });
    expect(await user("/ws", {})).toMatchObject({ user: null });
  });

  test("is taken from the place that leaks least", async () => {
    const [a, b, c, d] = ["a", "b", "c", "d"].map((sub) => token({ sub })) as [
      string,
      string,
      string,
      string,
    ];
    const protocols = ["tidegate.v1", `bearer.${b}`];
    const headers = { cookie: `session=${d}` };
    expect(await user(`/ws?token=${c}`, { token: a, protocols, headers, origin: ORIGIN })).toMatchObject({
      user: "a",
    });
    expect(await user(`/ws?token=${c}`, { protocols, headers, origin: ORIGIN })).toMatchObject({ user: "b" });
    expect(await user(`/ws?token=${c}`, { headers, origin: ORIGIN })).toMatchObject({ user: "c" });
    // A bad one is refused, although a good one would stand elsewhere.
    expect((await refusal(node.webSocketUrl, { token: `${a}x`, protocols })).status).toBe(401);
  });

  test("is never echoed as the subprotocol, and is none by itself", async () => {
    for (const offer of [`bearer.${token()}, tidegate.v1`, `tidegate.v1,bearer.${token()}`]) {
      const answer = await shake(node.port, { "Sec-WebSocket-Protocol": offer });
      expect([answer.status, answer.headers["sec-websocket-protocol"]]).toEqual([101, "tidegate.v1"]);
    }
    // A browser would drop a connection for which none of its offer was chosen.
    const alone = await shake(node.port, { "Sec-WebSocket-Protocol": `bearer.${token()}` });
    expect(problem(alone)).toMatchObject({ status: 400, code: "bad_subprotocol" });
    expect(JSON.stringify(alone)).not.toContain("eyJ");
  });

  test.for<[string, number, string, () => string]>([
    ["is expired", 401, "token_expired", () => token({ expiresIn: -1 })],
    ["is signed by somebody else", 401, "token_invalid", () => token({ key: "x".repeat(32) })],
    ["has no end", 401, "token_invalid", () => jsonwebtoken.sign({ sub: "ann" }, SECRET)],
    ["is no token", 401, "token_invalid", () => "garbage"],
    ["is over 8 KiB", 401, "token_invalid", () => token({ claims: { pad: "x".repeat(7_000) } })],
  ])("that %s is refused with no detail", async ([, status, code, make]) => {
    const answer = await shake(node.port, { Authorization: `Bearer ${make()}` });
    expect(answer.status).toBe(status);
    expect(problem(answer)).toMatchObject({ code });
    expect(problem(answer)).not.toHaveProperty("detail");
    expect(answer.headers["www-authenticate"]).toMatch(/^Bearer error="invalid_token"/);
  });

  test("that is refused is logged with the rule that it broke", async () => {
    const rules: [string, RegExp][] = [
      [token({ expiresIn: -1 }), /^expired at /],
      [token({ key: "x".repeat(32) }), /invalid signature/],
      [jsonwebtoken.sign({ sub: "ann" }, SECRET), /`exp` is required/],
      [token({ sub: "" }), /`sub`/],
      [token({ algorithm: "none", key: "" }), /no configured key verifies none/],
      [token({ notBefore: 60 }), /not active/],
      ["a.b.c", /not a JWT/],
    ];
    for (const [bad, rule] of rules) {
      await shake(node.port, { Authorization: `Bearer ${bad}` });
      await logged(node, (entry) => rule.test(String(entry.reason)));
    }
  });

  test("of 6 KiB works in every place", async () => {
    const big = token({ sub: "big", claims: { pad: "x".repeat(4_400) } });
    expect(big.length).toBeGreaterThan(6_000);
    expect(await user("/ws", { token: big })).toMatchObject({ user: "big" });
    expect(await user("/ws", { protocols: ["tidegate.v1", `bearer.${big}`] })).toMatchObject({ user: "big" });
    expect(await user(`/ws?token=${big}`, {})).toMatchObject({ user: "big" });
    const headers = { cookie: `session=${big}` };
    expect(await user("/ws", { headers, origin: ORIGIN })).toMatchObject({ user: "big" });
  });
});

describe("the subprotocol", () => {
  test.for([
    ["tidegate.v1", "tidegate.v1"],
    ["tidegate.v1.binary", "tidegate.v1.binary"],
    ["tidegate.v9, tidegate.v1", "tidegate.v1"],
    // A client offers in the order of its preference (RFC 6455 4.1).
    ["tidegate.v1.binary, tidegate.v1", "tidegate.v1.binary"],
    ["tidegate.v1, tidegate.v1.binary", "tidegate.v1"],
    ["tidegate.v1,tidegate.v1.binary", "tidegate.v1"],
  ])("of the offer `%s` is `%s`", async ([offer, chosen]) => {
    const answer = await shake(node.port, { "Sec-WebSocket-Protocol": offer });
    expect([answer.status, answer.headers["sec-websocket-protocol"]]).toEqual([101, chosen]);
  });

  test.for([["tidegate.v2"], ["graphql-ws"], ["Tidegate.v1"], [`tidegate.v2, bearer.x`]])(
    "is none of `%s`: 400",
    async ([offer]) => {
      const answer = await shake(node.port, { "Sec-WebSocket-Protocol": offer });
      expect(answer.status).toBe(400);
      expect(problem(answer)).toMatchObject({ code: "bad_subprotocol" });
    },
  );
});

describe("GET /ws without Upgrade", () => {
  test("says 426 when the handshake would have been accepted", async () => {
    for (const headers of [{}, { Authorization: `Bearer ${token()}` }]) {
      const answer = await ask(node.port, headers);
      expect(answer.status).toBe(426);
      expect(problem(answer)).toMatchObject({ code: "upgrade_required" });
      expect(answer.headers).toMatchObject({
        "sec-websocket-version": "13",
        upgrade: "websocket",
        connection: "Upgrade",
      });
    }
  });

  test("says what the handshake would have been refused with", async () => {
    const expired = `Bearer ${token({ expiresIn: -1 })}`;
    expect(problem(await ask(node.port, { Authorization: expired }))).toMatchObject({
      status: 401,
      code: "token_expired",
    });
    expect(problem(await ask(node.port, { Authorization: "Bearer x" }))).toMatchObject({
      status: 401,
      code: "token_invalid",
    });
    expect(problem(await ask(node.port, { Origin: "https://evil.example" }))).toMatchObject({
      status: 403,
      code: "origin_not_allowed",
    });
    expect(problem(await ask(node.port, { "Sec-WebSocket-Protocol": "v2" }))).toMatchObject({
      status: 400,
      code: "bad_subprotocol",
    });
    expect(problem(await ask(node.port, {}, `/ws?token=${token({ expiresIn: -1 })}`))).toMatchObject({
      code: "token_expired",
    });
  });

  test("lets the pages of allowed origins read the answer, and no others", async () => {
    for (const headers of [{}, { Authorization: "Bearer x" }]) {
      const allowed = await ask(node.port, { ...headers, Origin: ORIGIN });
      expect(allowed.headers).toMatchObject({ "access-control-allow-origin": ORIGIN, vary: "Origin" });
      expect(allowed.headers["access-control-allow-credentials"]).toBe("true");
      for (const others of [{ Origin: "https://evil.example" }, {}]) {
        const answer = await ask(node.port, { ...headers, ...others });
        expect(answer.headers).not.toHaveProperty("access-control-allow-origin");
        expect(answer.headers.vary).toBe("Origin");
      }
    }
    const refusedHandshake = await shake(node.port, { Origin: ORIGIN, Authorization: "Bearer x" });
    expect(refusedHandshake.headers).toMatchObject({ "access-control-allow-origin": ORIGIN });
  });

  test("can be asked by a page with a token, since its preflight is answered", async () => {
    const headers = {
      Origin: ORIGIN,
      "Access-Control-Request-Method": "GET",
      "Access-Control-Request-Headers": "authorization",
    };
    const answer = await ask(node.port, headers, "/ws", "OPTIONS");
    expect(answer.status).toBe(204);
    expect(answer.headers).toMatchObject({
      "access-control-allow-origin": ORIGIN,
      "access-control-allow-methods": expect.stringContaining("GET"),
      "access-control-allow-headers": expect.stringMatching(/authorization/i),
    });
  });

  test("takes no other method", async () => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
      const answer = await ask(node.port, { "Content-Length": "0" }, "/ws", method);
      expect(answer.status).toBe(405);
      expect(answer.headers.allow).toContain("GET");
    }
  });
});
