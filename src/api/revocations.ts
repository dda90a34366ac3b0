import type { Revocation } from "../auth/revocations.ts";
import { RequestError } from "../protocol/codes.ts";
import { RevocationBody } from "../schema/http.ts";
import { shape } from "../schema/shape.ts";
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
const checked = shape(RevocationBody);

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
  const { jti, sub, before, exp: last } = checked(value);
  const exp = last === undefined ? undefined : milliseconds(last);
  if (exp !== undefined && exp <= Date.now())
    throw new RequestError("bad_frame", "`exp` is past: nothing would be revoked");
  await outlet.revoke(revocationOf(jti, sub, before), exp ?? Date.now() + keepMs, user);
  return NO_CONTENT;
}

/** @param sub required when there is no `jti` @param before in seconds */
function revocationOf(jti: string | undefined, sub = "", before?: number): Revocation {
  if (jti !== undefined) return { jti };
  // `iat` is in whole seconds: a token of this very second is meant too.
  const issuedBefore = before === undefined ? Math.floor(Date.now() / 1000) * 1000 + 1 : milliseconds(before);
  return { sub, issuedBefore };
}

function milliseconds(seconds: number): number {
  return Math.ceil(seconds * 1000);
}
