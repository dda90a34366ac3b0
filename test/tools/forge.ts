import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import jsonwebtoken, { type Algorithm, type JwtHeader } from "jsonwebtoken";
import type { Identity } from "../../src/auth/identity.ts";

/** Tokens as their owners and their forgers make them; every signature is real. */

export const SECRET = "a-secret-of-the-tests-with-32-bytes-or-more";
export const OTHER_SECRET = "another-secret-of-the-tests-also-long-enough";

export const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
export const otherRsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
export const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
export const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
export const p521 = generateKeyPairSync("ec", { namedCurve: "P-521" });

export function pemOf(key: KeyObject): string {
  return key.export({ type: key.type === "private" ? "pkcs8" : "spki", format: "pem" }).toString();
}

/** Seconds since the epoch, from now. */
export function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds;
}

export function claims(more: Record<string, unknown> = {}): Record<string, unknown> {
  return { sub: "ann", exp: inSeconds(60), ...more };
}

/** Somebody whose token would say so. */
export function identity(more: Partial<Identity> = {}): Identity {
  const expiresAt = Date.now() + 60_000;
  return { user: "ann", expiresAt, issuedAt: 0, jti: undefined, grants: [], admin: [], ...more };
}

/** A token as an application's backend signs it. */
export function tokenWith(
  payload: Record<string, unknown> = claims(),
  { key = SECRET, alg = "HS256", header = {} }: TokenOptions = {},
): string {
  return jsonwebtoken.sign(payload, key, {
    algorithm: alg,
    noTimestamp: payload.iat === undefined, // it would take away one that is there
    header: { alg, ...header } as JwtHeader,
  });
}

interface TokenOptions {
  key?: string | KeyObject;
  alg?: Algorithm;
  header?: Record<string, unknown>;
}

/** Any header, any payload, any signature: what no library would make. */
export function rawToken(header: unknown, payload: unknown, signature: string | Buffer = ""): string {
  const input = `${part(header)}.${part(payload)}`;
  return `${input}.${typeof signature === "string" ? signature : signature.toString("base64url")}`;
}

/** Like `rawToken`, with a signature over both parts that fits `key`. */
export function signedRaw(header: unknown, payload: unknown, key: KeyObject): string {
  const input = `${part(header)}.${part(payload)}`;
  const signature = sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}

function part(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return Buffer.from(text).toString("base64url");
}

/** HS256 whatever the payload is. */
export function hmacRaw(header: unknown, payload: unknown, secret: string): string {
  const input = `${part(header)}.${part(payload)}`;
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
}
