import { afterEach, describe, expect, it, vi } from "vitest";
import type { Identity } from "../src/auth/identity.ts";
import { publicKey, secretKey, type VerificationKey } from "../src/auth/keys.ts";
import { Revocations } from "../src/auth/revocations.ts";
import { MAX_TOKEN_BYTES, TokenError, type TokenRules, verifyToken } from "../src/auth/token.ts";
import { CODES } from "../src/protocol/codes.ts";
import * as forge from "./tools/forge.ts";
import { listenHttp } from "./tools/http-server.ts";

const { claims, inSeconds, OTHER_SECRET, pemOf, rawToken, SECRET, signedRaw, tokenWith } = forge;

const secret = secretKey(SECRET);
const rsaPublic = publicKey(pemOf(forge.rsa.publicKey));
const p256Public = publicKey(pemOf(forge.p256.publicKey));

function rules(keys: readonly VerificationKey[] = [secret], more: Partial<TokenRules> = {}): TokenRules {
  return {
    keys,
    jwks: undefined,
    issuer: undefined,
    audience: undefined,
    revocations: () => new Revocations(),
    ...more,
  };
}

/** Without a JWKS the answer is immediate. */
function accept(token: string, given = rules()): Identity {
  return verifyToken(token, given) as Identity;
}

function refusal(token: string, given = rules()): TokenError {
  try {
    accept(token, given);
  } catch (error) {
    if (error instanceof TokenError) return error;
    throw error;
  }
  throw new Error("the token was accepted");
}

function expectInvalid(token: string, given = rules()): TokenError {
  const error = refusal(token, given);
  expect(error.code).toBe("token_invalid");
  // What is wrong is for the log: a forger learns nothing.
  expect(error.message).toBe(CODES.token_invalid.title);
  expect(error.reason).not.toContain(token);
  return error;
}

afterEach(() => {
  vi.useRealTimers();
});

describe("an accepted token", () => {
  it("says who it is, until when, and what it grants", () => {
    const exp = inSeconds(60);
    const iat = inSeconds(-5);
    const more = {
      exp,
      iat,
      jti: "t-1",
      channels: { "chat-*": ["subscribe", "publish"] },
      admin: ["revoke"],
    };
    expect(accept(tokenWith(claims(more)))).toEqual({
      user: "ann",
      expiresAt: exp * 1000,
      issuedAt: iat * 1000,
      jti: "t-1",
      grants: [{ pattern: "chat-*", actions: ["subscribe", "publish"] }],
      admin: ["revoke"],
    });
    expect(accept(tokenWith(claims()))).toMatchObject({ issuedAt: 0, jti: undefined, grants: [], admin: [] });
  });

  it("grants nothing when it claims nothing", () => {
    expect(accept(tokenWith()).grants).toEqual([]);
  });

  it.each(["HS256", "HS384", "HS512"] as const)("may be signed %s with a secret", (alg) => {
    expect(accept(tokenWith(claims(), { alg })).user).toBe("ann");
  });

  it.each(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const)(
    "may be signed %s with an RSA key",
    (alg) => {
      const token = tokenWith(claims(), { alg, key: forge.rsa.privateKey });
      expect(accept(token, rules([rsaPublic])).user).toBe("ann");
    },
  );

  it.each([
    ["ES256", forge.p256],
    ["ES384", forge.p384],
    ["ES512", forge.p521],
  ] as const)("may be signed %s with the curve that belongs to it", (alg, pair) => {
    const token = tokenWith(claims(), { alg, key: pair.privateKey });
    expect(accept(token, rules([publicKey(pemOf(pair.publicKey))])).user).toBe("ann");
  });

  it("may be signed with any of several secrets, so that they can be rotated", () => {
    const both = rules([secretKey(OTHER_SECRET), secret]);
    expect(accept(tokenWith(claims({ sub: "new" }), { key: OTHER_SECRET }), both).user).toBe("new");
    expect(accept(tokenWith(claims({ sub: "old" })), both).user).toBe("old");
    expectInvalid(tokenWith(), rules([secretKey(OTHER_SECRET)]));
  });

  it("may be signed with any of several keys of different kinds", () => {
    const all = rules([publicKey(pemOf(forge.otherRsa.publicKey)), secret, p256Public, rsaPublic]);
    for (const token of [
      tokenWith(claims(), { alg: "RS256", key: forge.rsa.privateKey }),
      tokenWith(claims(), { alg: "ES256", key: forge.p256.privateKey }),
      tokenWith(),
    ]) {
      expect(accept(token, all).user).toBe("ann");
    }
  });
});

describe("an unsigned token", () => {
  it.each(["none", "None", "nOnE", "NONE", "", " none"])("is refused with the algorithm %j", (alg) => {
    for (const keys of [[secret], [rsaPublic], []]) {
      expectInvalid(rawToken({ alg, typ: "JWT" }, claims()), rules(keys));
      expectInvalid(rawToken({ alg, typ: "JWT" }, claims(), "c2lnbmF0dXJl"), rules(keys));
    }
  });

  it.each([["HS256"], ["RS256"], ["ES256"]])("is refused when it says %s and has no signature", (alg) => {
    expectInvalid(rawToken({ alg, typ: "JWT" }, claims()), rules([secret, rsaPublic, p256Public]));
  });

  it.each([undefined, null, 5, ["HS256"], { toString: "HS256" }])(
    "is refused with the algorithm %j",
    (alg) => {
      expectInvalid(rawToken({ alg, typ: "JWT" }, claims()));
    },
  );

  it("is refused when its signature was cut off or is another token's", () => {
    const [header = "", payload = "", signature = ""] = tokenWith().split(".");
    const other = tokenWith(claims({ sub: "bob" })).split(".");
    expectInvalid(`${header}.${payload}.`);
    expectInvalid(`${header}.${payload}`);
    expectInvalid(`${header}.${payload}.${signature.slice(0, -2)}`);
    expectInvalid(`${header}.${other[1]}.${signature}`);
  });
});

describe("a token signed with the wrong kind of key", () => {
  it("is refused when it is HS256 over the public RSA key, however that is written", () => {
    const pem = pemOf(forge.rsa.publicKey);
    const pkcs1 = forge.rsa.publicKey.export({ type: "pkcs1", format: "pem" }).toString();
    for (const key of [pem, pem.trim(), pem.replaceAll("\n", "\r\n"), pkcs1]) {
      const token = tokenWith(claims(), { key });
      expectInvalid(token, rules([rsaPublic]));
      expectInvalid(token, rules([rsaPublic, secret]));
    }
  });

  it("is refused when it says RS256 and an EC key signed it", () => {
    const token = signedRaw({ alg: "RS256", typ: "JWT" }, claims(), forge.p256.privateKey);
    expectInvalid(token, rules([p256Public]));
    expectInvalid(token, rules([p256Public, rsaPublic]));
  });

  it("is refused when it says ES256 and an RSA key signed it", () => {
    const token = signedRaw({ alg: "ES256", typ: "JWT" }, claims(), forge.rsa.privateKey);
    expectInvalid(token, rules([rsaPublic, p256Public]));
  });

  it("is refused when the curve is not that of its algorithm", () => {
    const token = signedRaw({ alg: "ES256", typ: "JWT" }, claims(), forge.p384.privateKey);
    expectInvalid(token, rules([publicKey(pemOf(forge.p384.publicKey))]));
    expectInvalid(token, rules([p256Public]));
  });

  it("is refused when the key is somebody else's", () => {
    expectInvalid(tokenWith(claims(), { alg: "RS256", key: forge.otherRsa.privateKey }), rules([rsaPublic]));
    expectInvalid(tokenWith(claims(), { key: OTHER_SECRET }));
  });
});

describe("a key id", () => {
  const kids = [
    "../../../etc/passwd\0",
    "' OR 1=1 --",
    "k".repeat(5_000),
    "schlüssel",
    "a b",
    "k\n",
    "",
    "k".repeat(129),
    5,
    null,
    true,
    ["k"],
    { kid: "k" },
  ];
  it.each(kids)("that is malformed is refused: %j", (kid) => {
    expectInvalid(tokenWith(claims(), { header: { kid } }));
  });

  it("named like a file or like a part of every object is just a name", () => {
    const key = { ...secret, kid: "mine" };
    for (const kid of ["../../dev/null", "__proto__", "constructor", "toString"]) {
      const empty = forge.hmacRaw({ alg: "HS256", kid }, claims(), "");
      expectInvalid(empty, rules([key]));
      expectInvalid(empty);
      expectInvalid(tokenWith(claims(), { header: { kid } }), rules([key]));
    }
  });

  it("is not asked for where the configured key has none", () => {
    expect(accept(tokenWith(claims(), { header: { kid: "2026-03" } })).user).toBe("ann");
  });
});

describe("a header that says where the key is", () => {
  it("is ignored, and nothing is asked of anybody", async () => {
    const server = await listenHttp((_request, response) => response.end('{"keys":[]}'));
    const elsewhere = {
      jku: `${server.url}/jku`,
      x5u: `${server.url}/x5u`,
      jwk: forge.otherRsa.publicKey.export({ format: "jwk" }),
      x5c: ["MIIB"],
    };
    const given = rules([rsaPublic, secret]);
    expect(accept(tokenWith(claims(), { header: elsewhere }), given).user).toBe("ann");
    const forged = { alg: "RS256" as const, key: forge.otherRsa.privateKey };
    for (const header of [
      elsewhere,
      { jku: elsewhere.jku },
      { x5u: elsewhere.x5u },
      { jwk: elsewhere.jwk },
    ]) {
      expectInvalid(tokenWith(claims(), { ...forged, header }), given);
    }
    // Nor do claims steer anything.
    const steering = claims({ iss: `${server.url}/iss`, aud: `${server.url}/aud` });
    expectInvalid(tokenWith(steering, forged), given);
    await fetch(`${server.url}/the-last-one`);
    expect(server.paths).toEqual(["/the-last-one"]);
    await server.close();
  });

  it.each([[["exp"]], [[]], ["b64"], [null]])("is refused when `crit` is %j", (crit) => {
    expectInvalid(tokenWith(claims(), { header: { crit } }));
  });
});

describe("a claim", () => {
  const signed = (payload: Record<string, unknown>) => tokenWith(payload);

  it.each([
    ["exp is missing", { sub: "ann" }],
    ["exp is null", { sub: "ann", exp: null }],
    ["exp is a string", { sub: "ann", exp: "4102444800" }],
    ["exp is 1e308", { sub: "ann", exp: 1e308 }],
    ["exp is beyond what a date can be", { sub: "ann", exp: 8.64e12 + 1 }],
    ["exp is -1e308", { sub: "ann", exp: -1e308 }],
    ["exp is a list", { sub: "ann", exp: [4102444800] }],
    ["sub is missing", { exp: 4102444800 }],
    ["sub is empty", { sub: "", exp: 4102444800 }],
    ["sub is a number", { sub: 5, exp: 4102444800 }],
    ["sub is over 256 characters", { sub: "s".repeat(257), exp: 4102444800 }],
    ["nbf is a string", { sub: "ann", exp: 4102444800, nbf: "0" }],
    ["nbf is in the future", { sub: "ann", exp: 4102444800, nbf: inSeconds(45) }],
    ["iat is in the future", { sub: "ann", exp: 4102444800, iat: inSeconds(45) }],
  ])("refuses the token when %s", (_what, payload) => {
    const error = refusal(rawSigned(payload));
    expect(["token_invalid", "token_expired"]).toContain(error.code);
  });

  it.each(['"ann"', "[]", "null", "5", "", "{", '{"sub":"ann"'])(
    "refuses the token when the payload is %j",
    (payload) => {
      expectInvalid(rawSigned(payload));
    },
  );

  it("is not quoted in the log when it is not even JSON: nobody has signed it", () => {
    const token = rawToken({ alg: "HS256", typ: "JWT" }, '{"sub":hunter2', "c2lnbmF0dXJl");
    expect(expectInvalid(token).reason).not.toContain("hunter2");
  });

  it("ends a token with a fraction of a second exactly there (RFC 7519 allows one)", () => {
    const exp = inSeconds(60) + 0.5;
    expect(accept(rawSigned({ sub: "ann", exp })).expiresAt).toBe(exp * 1000);
  });

  it("forgives nbf and iat a clock that is 15 s behind", () => {
    expect(accept(signed(claims({ nbf: inSeconds(15), iat: inSeconds(15) }))).user).toBe("ann");
  });

  it("checks iss only where one is configured", () => {
    const given = rules([secret], { issuer: "https://issuer.example" });
    expect(accept(signed(claims({ iss: "https://issuer.example" })), given).user).toBe("ann");
    for (const iss of [
      undefined,
      "https://issuer.example/",
      "HTTPS://ISSUER.EXAMPLE",
      ["https://issuer.example"],
    ]) {
      expectInvalid(rawSigned({ ...claims(), iss }), given);
    }
    expect(accept(signed(claims({ iss: "anybody" }))).user).toBe("ann");
  });

  it("checks aud only where one is configured, alone or in a list", () => {
    const given = rules([secret], { audience: "tidegate" });
    expect(accept(signed(claims({ aud: "tidegate" })), given).user).toBe("ann");
    expect(accept(signed(claims({ aud: ["other", "tidegate"] })), given).user).toBe("ann");
    for (const aud of [undefined, "other", [], ["other"], "tidegate-2", { tidegate: true }]) {
      expectInvalid(rawSigned({ ...claims(), aud }), given);
    }
    expect(accept(signed(claims({ aud: "anybody" }))).user).toBe("ann");
  });

  it.each([
    ["a list", ["chat-*"]],
    ["a string", "chat-*"],
    ["null", null],
    ["an unknown action", { "chat-*": ["subscribe", "fly"] }],
    ["actions in a string", { "chat-*": "subscribe" }],
    ["two stars", { "chat-*-*": ["subscribe"] }],
    ["a star in the middle", { "chat-*-x": ["subscribe"] }],
    ["no channel name", { "a b": ["subscribe"] }],
    ["a place for the user", { "user:{sub}": ["subscribe"] }],
    ["101 patterns", Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`c${i}`, ["subscribe"]]))],
  ])("refuses the token when `channels` is %s", (_what, channels) => {
    expectInvalid(rawSigned({ ...claims(), channels }));
  });

  it("may hold 100 channel patterns", () => {
    const channels = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`c${i}`, []]));
    expect(accept(signed(claims({ channels }))).grants).toHaveLength(100);
  });
});

describe("the end of a token", () => {
  it.each([1, 29, 31, 3_600, 1_000_000])("has no grace: it is refused %i s later", (seconds) => {
    expect(refusal(tokenWith(claims({ exp: inSeconds(-seconds) }))).code).toBe("token_expired");
  });

  it("is the very moment that exp names", () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 1_790_000_000_000 });
    const token = tokenWith(claims({ exp: 1_790_000_060 }));
    vi.setSystemTime(1_790_000_059_999);
    expect(accept(token).expiresAt).toBe(1_790_000_060_000);
    vi.setSystemTime(1_790_000_060_000);
    expect(refusal(token).code).toBe("token_expired");
  });

  it("is told only to who has the signature", () => {
    expectInvalid(tokenWith(claims({ exp: inSeconds(-5) }), { key: OTHER_SECRET }));
  });
});

describe("the form of a token", () => {
  it.each([
    "",
    ".",
    "..",
    "a",
    "a.b",
    "a.b.c",
    "....",
    "null",
    "{}",
    "é.é.é",
    "e30.e30.",
    "W10.e30.x",
    "bnVsbA.e30.x",
  ])("is refused when it is %j", (token) => {
    expect(refusal(token).code).toBe("token_invalid");
  });

  it("is refused unread over 8 KiB, though well signed, and read up to there", () => {
    const sized = (length: number) => {
      const padding = Math.floor(((length - tokenWith(claims({ padding: "" })).length) * 3) / 4);
      return tokenWith(claims({ padding: "i".repeat(padding) }));
    };
    const fits = sized(MAX_TOKEN_BYTES - 4);
    expect(fits.length).toBeGreaterThan(MAX_TOKEN_BYTES - 16);
    expect(fits.length).toBeLessThanOrEqual(MAX_TOKEN_BYTES);
    expect(accept(fits).user).toBe("ann");
    const over = sized(MAX_TOKEN_BYTES + 16);
    expect(over.length).toBeGreaterThan(MAX_TOKEN_BYTES);
    expect(expectInvalid(over).reason).toContain("8192");
  });
});

/** HS256 over whatever the payload is. */
function rawSigned(payload: unknown): string {
  return forge.hmacRaw({ alg: "HS256", typ: "JWT" }, payload, SECRET);
}
