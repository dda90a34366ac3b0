import type { KeyObject } from "node:crypto";
import jsonwebtoken, { type Algorithm, type JwtPayload, type VerifyOptions } from "jsonwebtoken";
import { RequestError } from "../protocol/codes.ts";
import { isObject, parse } from "../protocol/json.ts";
import { type Identity, identityOf } from "./identity.ts";
import type { Jwks } from "./jwks.ts";
import type { VerificationKey } from "./keys.ts";
import type { Revocations } from "./revocations.ts";

export interface TokenRules {
  /** From secrets and PEM blocks, newest first. */
  readonly keys: readonly VerificationKey[];
  readonly jwks: Jwks | undefined;
  /** `iss` must be this; unchecked when undefined. */
  readonly issuer: string | undefined;
  /** `aud` must be or contain this; unchecked when undefined. */
  readonly audience: string | undefined;
  /** Undefined until the node knows what was revoked: it lets nobody in on the word of a token alone before. */
  readonly revocations: () => Pick<Revocations, "covers"> | undefined;
}

/** A token over this many bytes is refused unread. */
export const MAX_TOKEN_BYTES = 8 * 1024;
/** Between the clocks of who signs and who checks, for `nbf` and `iat`. Never for `exp`: dead is dead. */
const CLOCK_TOLERANCE_S = 30;
const KID = /^[\w.=+/-]{1,128}$/;

type TokenRefusal = "token_invalid" | "token_expired" | "token_revoked" | "auth_unavailable";

/** A refused token. `reason` is for the log: what a client gets is the code alone, so as not to teach a forger. */
export class TokenError extends RequestError {
  declare readonly code: TokenRefusal;
  constructor(code: TokenRefusal, reason: string) {
    super(code, undefined, { reason });
  }
}

/**
 * Who a token is. Answers at once unless a key has to be fetched first: the upgrade handler of uWebSockets.js
 * must not wait when it need not.
 * @throws {TokenError} also as a rejection
 */
export function verifyToken(token: string, rules: TokenRules): Identity | Promise<Identity> {
  if (token.length > MAX_TOKEN_BYTES) throw new TokenError("token_invalid", `over ${MAX_TOKEN_BYTES} bytes`);
  const header = headerOf(token);
  try {
    return check(token, header, rules);
  } catch (error) {
    const { jwks } = rules;
    // A key set holds no HMAC keys: nobody makes us fetch it with such a forgery.
    if (!jwks || !(error instanceof UnknownKey) || header.alg.startsWith("HS")) throw error;
    if (!jwks.mayRefresh) throw inDoubt(error, token, jwks);
    const checked = jwks.refresh().then(() => check(token, header, rules));
    return checked.catch((failure) => Promise.reject(inDoubt(failure, token, jwks)));
  }
}

/** An honest client gives up at "invalid": that is not said while the key that signed its token may be one to come. */
function inDoubt(error: unknown, token: string, jwks: Jwks): unknown {
  if (!(error instanceof UnknownKey) || !issuedSince(jwks.fetchedAt, token)) return error;
  return new TokenError("auth_unavailable", "no known key verifies it, and it is younger than the key set");
}

/** By its own word, in whole seconds: it is not verified. */
function issuedSince(ms: number, token: string): boolean {
  const claims = jsonwebtoken.decode(token);
  return isObject(claims) && typeof claims.iat === "number" && (claims.iat + 1) * 1000 > ms;
}

/** No key that is known verifies it; one that is not known yet might. */
class UnknownKey extends TokenError {}

interface Header {
  readonly alg: string;
  readonly kid: string | undefined;
}

function headerOf(token: string): Header {
  const dot = token.indexOf(".");
  const header = dot < 0 ? undefined : parse(Buffer.from(token.slice(0, dot), "base64url").toString("utf8"));
  if (!isObject(header) || typeof header.alg !== "string") throw new TokenError("token_invalid", "not a JWT");
  if (header.crit !== undefined)
    throw new TokenError("token_invalid", "header `crit` names extensions (RFC 7515 4.1.11)");
  if (header.kid !== undefined && (typeof header.kid !== "string" || !KID.test(header.kid))) {
    throw new TokenError("token_invalid", "header `kid` is malformed");
  }
  return { alg: header.alg, kid: header.kid as string | undefined };
}

function candidates({ alg, kid }: Header, rules: TokenRules): VerificationKey[] {
  const known = rules.jwks ? [...rules.keys, ...rules.jwks.keys] : rules.keys;
  return known.filter(
    (key) =>
      key.algorithms.includes(alg as Algorithm) &&
      (key.kid === undefined || kid === undefined || key.kid === kid),
  );
}

/** @throws {TokenError} */
function check(token: string, header: Header, rules: TokenRules): Identity {
  const keys = candidates(header, rules);
  if (keys.length === 0) throw noKey(header, rules);
  for (const { key, algorithms } of keys) {
    try {
      const options = { ...optionsOf(rules), algorithms: [...algorithms] };
      return standing(identityOf(inTime(verifySignature(token, key, options))), rules);
    } catch (error) {
      // When the signature fits and a claim does not, no other key would say otherwise.
      if (!isSignatureError(error)) throw refusalOf(error);
    }
  }
  const kidKnown = header.kid !== undefined && keys.some(({ kid }) => kid === header.kid);
  throw kidKnown
    ? new TokenError("token_invalid", "invalid signature")
    : new UnknownKey("token_invalid", "invalid signature");
}

/** Without the stack of what it throws, which costs more than the check: whoever tries tokens out must not gain by it. */
function verifySignature(token: string, key: KeyObject, options: VerifyOptions): string | JwtPayload {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return jsonwebtoken.verify(token, key, options) as string | JwtPayload;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function noKey({ alg, kid }: Header, rules: TokenRules): TokenError {
  // A key set holds no HMAC keys: without one such a token is as wrong as with it.
  if (rules.jwks && !rules.jwks.available && !alg.startsWith("HS"))
    return new UnknownKey("auth_unavailable", "no key set was fetched yet");
  const named = kid === undefined ? "" : " and that key id";
  return new UnknownKey("token_invalid", `no configured key verifies ${alg.slice(0, 16)}${named}`);
}

function optionsOf(rules: TokenRules): VerifyOptions {
  return {
    clockTolerance: CLOCK_TOLERANCE_S,
    ...(rules.issuer === undefined ? {} : { issuer: rules.issuer }),
    ...(rules.audience === undefined ? {} : { audience: rules.audience }),
  };
}

/** What jsonwebtoken leaves out: no tolerance for `exp`, and an `iat` in the future. */
function inTime(claims: string | JwtPayload): JwtPayload {
  if (typeof claims === "string") throw new Error("the payload is not a JSON object");
  const now = Date.now() / 1000;
  if (typeof claims.exp === "number" && claims.exp <= now) {
    throw new TokenError("token_expired", `expired at ${new Date(claims.exp * 1000).toISOString()}`);
  }
  if (typeof claims.iat === "number" && claims.iat > now + CLOCK_TOLERANCE_S)
    throw new Error("claim `iat` is in the future");
  return claims;
}

/** @throws {TokenError} of an identity whose token was revoked, or may have been */
export function standing(identity: Identity, { revocations }: Pick<TokenRules, "revocations">): Identity {
  const known = revocations();
  if (!known) throw new TokenError("auth_unavailable", "the revocations were not read from Redis yet");
  if (known.covers(identity)) throw new TokenError("token_revoked", "it was revoked");
  return identity;
}

function isSignatureError(error: unknown): boolean {
  return error instanceof jsonwebtoken.JsonWebTokenError && error.message === "invalid signature";
}

function refusalOf(error: unknown): TokenError {
  if (error instanceof TokenError) return error;
  if (error instanceof jsonwebtoken.TokenExpiredError) {
    return new TokenError("token_expired", error.message);
  }
  // V8 quotes what it could not parse, which nobody has signed.
  if (error instanceof SyntaxError) return new TokenError("token_invalid", "the payload is not JSON");
  return new TokenError("token_invalid", error instanceof Error ? error.message : "not accepted");
}
