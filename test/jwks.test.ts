import type { KeyObject } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Identity } from "../src/auth/identity.ts";
import { Jwks } from "../src/auth/jwks.ts";
import { secretKey } from "../src/auth/keys.ts";
import { Revocations } from "../src/auth/revocations.ts";
import { TokenError, type TokenRules, verifyToken } from "../src/auth/token.ts";
import { CODES } from "../src/protocol/codes.ts";
import * as forge from "./tools/forge.ts";
import { type HttpServer, listenHttp } from "./tools/http-server.ts";
import { memoryLog } from "./tools/log.ts";
import { nextTick } from "./tools/turns.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const { claims, tokenWith } = forge;

let server: HttpServer;
let handle: Handler;
let rules: TokenRules;
let lines: string[];

beforeEach(async () => {
  // The clock that fetches are spaced by; sockets and timeouts keep the real one.
  vi.useFakeTimers({ toFake: ["performance", "setInterval", "clearInterval"] });
  handle = serve(jwk(forge.rsa.publicKey, "k1"));
  server = await listenHttp((request, response) => handle(request, response));
  const memory = memoryLog();
  lines = memory.lines;
  rules = {
    keys: [],
    jwks: new Jwks(`${server.url}/keys`, memory.log),
    issuer: undefined,
    audience: undefined,
    revocations: () => new Revocations(),
  };
});

afterEach(async () => {
  rules.jwks?.stop();
  vi.useRealTimers();
  await server.close();
});

function jwk(
  key: KeyObject,
  kid: string | undefined,
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  return { ...key.export({ format: "jwk" }), kid, use: "sig", ...more };
}

function serve(...keys: unknown[]): Handler {
  return (_request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ keys }));
  };
}

function signed(
  kid: string | undefined,
  key: KeyObject = forge.rsa.privateKey,
  alg: "RS256" | "ES256" = "RS256",
): string {
  return tokenWith(claims(), { alg, key, ...(kid === undefined ? {} : { header: { kid } }) });
}

/** By no known key, and older than the key set. */
function stale(kid: string | undefined, key: KeyObject = forge.rsa.privateKey): string {
  const minuteAgo = Math.floor(Date.now() / 1000) - 60;
  const header = kid === undefined ? {} : { header: { kid } };
  return tokenWith(claims({ iat: minuteAgo }), { alg: "RS256", key, ...header });
}

async function verify(token: string): Promise<Identity> {
  return await verifyToken(token, rules);
}

async function refusal(token: string): Promise<TokenError> {
  return await verify(token).then(
    () => Promise.reject(new Error("the token was accepted")),
    (error: unknown) => (error instanceof TokenError ? error : Promise.reject(error)),
  );
}

function advance(seconds: number): void {
  vi.advanceTimersByTime(seconds * 1000);
}

/** Until the fetch under way, if any, is over. */
async function fetched(): Promise<void> {
  await rules.jwks?.refresh();
}

describe("a key set", () => {
  it("is fetched for the first token and not again for the next ones", async () => {
    for (let i = 0; i < 20; i++) expect((await verify(signed("k1"))).user).toBe("ann");
    expect(server.paths).toEqual(["/keys"]);
  });

  it("is fetched once for all tokens that come before it is there", async () => {
    const users = await Promise.all(Array.from({ length: 50 }, () => verify(signed("k1"))));
    expect(users).toHaveLength(50);
    expect(server.paths).toEqual(["/keys"]);
  });

  it("answers at once when the key is known", async () => {
    await verify(signed("k1"));
    expect(verifyToken(signed("k1"), rules)).not.toBeInstanceOf(Promise);
  });

  it("may hold RSA and EC keys, and is searched when a token names none", async () => {
    handle = serve(
      jwk(forge.otherRsa.publicKey, "k0"),
      jwk(forge.rsa.publicKey, "k1"),
      jwk(forge.p256.publicKey, "k2"),
    );
    for (const kid of ["k1", undefined]) expect((await verify(signed(kid))).user).toBe("ann");
    for (const kid of ["k2", undefined]) {
      expect((await verify(signed(kid, forge.p256.privateKey, "ES256"))).user).toBe("ann");
    }
    expect((await refusal(signed("k2"))).code).toBe("token_invalid");
  });

  it("is not asked about tokens that the known keys verify", async () => {
    rules = { ...rules, keys: [secretKey(forge.SECRET)] };
    await verify(signed("k1"));
    advance(31);
    for (let i = 0; i < 5; i++) {
      expect((await verify(tokenWith())).user).toBe("ann");
      expect((await verify(signed("k1"))).user).toBe("ann");
      expect((await refusal(signed("k1", forge.otherRsa.privateKey))).code).toBe("token_invalid");
    }
    expect(server.paths).toEqual(["/keys"]);
  });

  it("is asked when a key without an id does not verify a token: it may have been replaced", async () => {
    handle = serve(jwk(forge.rsa.publicKey, undefined));
    await verify(signed(undefined));
    handle = serve(jwk(forge.otherRsa.publicKey, undefined));
    advance(31);
    expect((await verify(signed(undefined, forge.otherRsa.privateKey))).user).toBe("ann");
    expect((await refusal(stale(undefined))).code).toBe("token_invalid");
  });

  it("verifies no HMAC, though it may hold a secret", async () => {
    const k = Buffer.from(forge.SECRET).toString("base64url");
    handle = serve({ kty: "oct", k, kid: "s", use: "sig", alg: "HS256" }, jwk(forge.rsa.publicKey, "k1"));
    expect((await refusal(tokenWith(claims(), { header: { kid: "s" } }))).code).toBe("token_invalid");
    expect((await refusal(tokenWith())).code).toBe("token_invalid");
  });

  it("is used without the keys in it that are no good", async () => {
    handle = serve(
      jwk(forge.rsa.privateKey, "private"),
      jwk(forge.otherRsa.publicKey, "encrypts", { use: "enc" }),
      { kty: "RSA", kid: "broken", n: "AQAB", e: "AQAB" },
      { kty: "unheard-of", kid: "strange" },
      jwk(forge.rsa.publicKey, "k1"),
    );
    expect((await verify(signed("k1"))).user).toBe("ann");
    for (const kid of ["private", "broken", "strange"]) {
      expect((await refusal(stale(kid))).code).toBe("token_invalid");
    }
    expect((await refusal(stale("encrypts", forge.otherRsa.privateKey))).code).toBe("token_invalid");
  });
});

describe("a key set that changes", () => {
  const newToken = () =>
    tokenWith(claims({ iat: forge.inSeconds(0) }), {
      alg: "RS256",
      key: forge.otherRsa.privateKey,
      header: { kid: "k2" },
    });
  const both = () => serve(jwk(forge.otherRsa.publicKey, "k2"), jwk(forge.rsa.publicKey, "k1"));

  it("gives a new key after one more fetch", async () => {
    await verify(signed("k1"));
    handle = both();
    advance(31);
    expect((await verify(newToken())).user).toBe("ann");
    expect((await verify(signed("k1"))).user).toBe("ann");
    expect(server.paths).toHaveLength(2);
  });

  it("is not fetched twice within 30 s, however new the key", async () => {
    await verify(signed("k1"));
    handle = both();
    advance(29);
    const token = newToken();
    expect((await refusal(token)).code).toBe("auth_unavailable");
    expect((await refusal(stale("k2", forge.otherRsa.privateKey))).code).toBe("token_invalid");
    expect(server.paths).toHaveLength(1);
    advance(1);
    expect((await verify(token)).user).toBe("ann");
  });

  it("leaves a new key in doubt, not invalid, while its server fails", async () => {
    await verify(signed("k1"));
    handle = (_request, response) => response.writeHead(500).end();
    advance(31);
    expect((await refusal(newToken())).code).toBe("auth_unavailable");
    handle = both();
    advance(2);
    expect((await verify(newToken())).user).toBe("ann");
  });

  it("is fetched at most once in 30 s for 1,000 unknown keys a second, while known keys work", async () => {
    await verify(signed("k1"));
    for (let second = 1; second <= 35; second++) {
      advance(1);
      const soon = claims({ iat: Math.ceil(Date.now() / 1000) }); // younger than a key set that is fetched for them
      const unknown = Array.from({ length: 1_000 }, (_, i) =>
        refusal(forge.rawToken({ alg: "RS256", kid: `unknown-${second}-${i}` }, soon, "c2ln")),
      );
      expect(new Set((await Promise.all(unknown)).map(({ code }) => code))).toEqual(
        new Set(["auth_unavailable"]),
      );
      expect((await verify(signed("k1"))).user).toBe("ann");
    }
    expect(server.paths.length).toBe(2);
  });

  it("takes a withdrawn key away within a minute, though no token comes", async () => {
    rules.jwks?.start();
    await fetched();
    expect((await verify(signed("k1"))).user).toBe("ann");
    handle = serve(jwk(forge.otherRsa.publicKey, "k2"));
    advance(60);
    await fetched();
    expect((await refusal(stale("k1"))).code).toBe("token_invalid");
    expect((await verify(newToken())).user).toBe("ann");
  });

  it("is fetched no more after stop", async () => {
    rules.jwks?.start();
    await fetched();
    rules.jwks?.stop();
    const { length } = server.paths;
    advance(3_600);
    await fetch(`${server.url}/the-last-one`);
    expect(server.paths.slice(length)).toEqual(["/the-last-one"]);
  });
});

describe("a key server that fails", () => {
  const failures: [string, Handler][] = [
    ["answers 500", (_request, response) => response.writeHead(500).end("{}")],
    ["answers 404 with keys", (_request, response) => response.writeHead(404).end(newKeySet())],
    ["cuts the connection", (request) => request.socket.destroy()],
    ["sends no JSON", (_request, response) => response.end("<html>maintenance</html>")],
    ["sends null", (_request, response) => response.end("null")],
    ["sends no keys", (_request, response) => response.end('{"kids":[]}')],
    ["sends keys that are none", (_request, response) => response.end('{"keys":[null,5,"k"]}')],
    ["sends keys in a string", (_request, response) => response.end('{"keys":"k1"}')],
    ["sends 10 MiB", (_request, response) => response.end(newKeySet() + " ".repeat(10 * 1024 * 1024))],
    ["redirects", (_request, response) => response.writeHead(302, { location: "/stolen" }).end()],
    ["never answers", () => {}],
    ["never ends", (_request, response) => void response.writeHead(200).write('{"keys":[')],
  ];

  /** Good keys, in an answer that is not. */
  function newKeySet(): string {
    return JSON.stringify({ keys: [jwk(forge.otherRsa.publicKey, "k2"), jwk(forge.rsa.publicKey, "k1")] });
  }

  it.each(failures)("and %s leaves the known keys in use", async (_what, failing) => {
    await verify(signed("k1"));
    handle = failing;
    advance(61);
    expect((await verify(signed("k1"))).user).toBe("ann");
    await fetched();
    expect((await verify(signed("k1"))).user).toBe("ann");
    expect(server.paths).not.toContain("/stolen");
  });

  it.each(failures)(
    "and %s at the start makes tokens wait at most a good second, for auth_unavailable",
    async (_what, failing) => {
      handle = failing;
      const start = process.hrtime.bigint();
      expect((await refusal(signed("k1"))).code).toBe("auth_unavailable");
      expect(Number(process.hrtime.bigint() - start) / 1e6).toBeLessThan(3_000);
      expect(CODES.auth_unavailable.temporary).toBe(true);
    },
  );

  it("is asked again after two seconds, and not before", async () => {
    handle = (_request, response) => response.writeHead(503).end();
    await refusal(signed("k1"));
    advance(1.9);
    expect((await refusal(signed("k1"))).code).toBe("auth_unavailable");
    expect(server.paths).toHaveLength(1);
    handle = serve(jwk(forge.rsa.publicKey, "k1"));
    advance(0.1);
    expect((await verify(signed("k1"))).user).toBe("ann");
    expect(server.paths).toHaveLength(2);
  });

  it("does not keep a token waiting whose key is known", async () => {
    await verify(signed("k1"));
    handle = () => {};
    advance(45);
    const slow = refusal(signed("unknown"));
    expect(verifyToken(signed("k1"), rules)).not.toBeInstanceOf(Promise);
    await slow;
  });

  it("is named in the log, and no token is", async () => {
    handle = (_request, response) => response.writeHead(500).end();
    const token = signed("k1");
    await refusal(token);
    expect(lines.join("")).toContain("TIDEGATE_JWKS_URL");
    for (const part of token.split(".")) expect(lines.join("")).not.toContain(part);
  });

  it("leaves unhandled rejections to nobody", async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => void unhandled.push(reason);
    process.on("unhandledRejection", note);
    handle = (_request, response) => response.writeHead(500).end();
    rules.jwks?.start();
    await fetched();
    rules.jwks?.stop();
    await nextTick();
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
  });
});
