import { isName, NAME_RULE } from "../auth/identity.ts";
import type { Revocation } from "../auth/revocations.ts";
import { RequestError } from "../protocol/codes.ts";
import { type Answer, NO_CONTENT } from "../transport/http/answer.ts";
import type { Request } from "../transport/http/http.ts";
import { jsonBody } from "./body.ts";
import type { Caller } from "./caller.ts";

/** Carries a revocation to every node. */
export interface RevocationOutlet {
  /**
   * @param until when it may be forgotten, in ms since the epoch
   * @param by who wants it, for the log
   * @throws {RequestError}
   */
  revoke(revocation: Revocation, until: number, by: string): Promise<void>;
}

const FLAT = { depth: 2, keys: 4 };
const FIELDS = new Set(["jti", "sub", "before", "exp"]);

/**
 * `{"jti","exp"?}`, or `{"sub","before"?,"exp"?}` (all tokens of a user issued before; default: up to now) → 204 when
 * every node was told. `exp` is the last that any of these tokens has: the revocation is kept until then, else for
 * `keepMs`.
 */
export async function revoke(
  request: Request,
  caller: Caller,
  outlet: RevocationOutlet,
  keepMs: number,
): Promise<Answer> {
  const { user } = await caller.identifyAdmin(request, "revoke");
  const { value } = await jsonBody(request, FLAT);
  const unknown = Object.keys(value).find((key) => !FIELDS.has(key));
  if (unknown !== undefined)
    throw new RequestError("bad_frame", `\`${unknown.slice(0, 32)}\` is none of ${[...FIELDS].join(", ")}`);
  const exp = secondsOf(value.exp, "exp");
  if (exp !== undefined && exp <= Date.now())
    throw new RequestError("bad_frame", "`exp` is past: nothing would be revoked");
  await outlet.revoke(revocationOf(value), exp ?? Date.now() + keepMs, user);
  return NO_CONTENT;
}

function revocationOf({ jti, sub, before }: Record<string, unknown>): Revocation {
  if ((jti === undefined) === (sub === undefined))
    throw new RequestError("bad_frame", "either `jti` or `sub` is required");
  if (jti !== undefined) {
    if (!isName(jti)) throw new RequestError("bad_frame", `\`jti\` is ${NAME_RULE}`);
    if (before !== undefined) throw new RequestError("bad_frame", "`before` goes with `sub`");
    return { jti };
  }
  if (!isName(sub)) throw new RequestError("bad_frame", `\`sub\` is ${NAME_RULE}`);
  // `iat` is in whole seconds: a token of this very second is meant too.
  return { sub, issuedBefore: secondsOf(before, "before") ?? Math.floor(Date.now() / 1000) * 1000 + 1 };
}

/** As milliseconds. */
function secondsOf(value: unknown, name: string): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !(value >= 0 && value < 1e11))
    throw new RequestError("bad_frame", `\`${name}\` is a time in seconds since the epoch`);
  return Math.ceil(value * 1000);
}
