import { isObject } from "../protocol/json.ts";
import { type Grant, parseGrants } from "./grants.ts";

/** Who a connection or a request is, and what its token lets it do. */
export interface Identity {
  /** The token's `sub`. */
  readonly user: string;
  /** The token's `exp`, in milliseconds since the epoch. */
  readonly expiresAt: number;
  readonly grants: readonly Grant[];
}

/** The year 5138: beyond it `exp` was not meant in seconds. */
const MAX_EXP = 1e11;

/** Channel patterns in one token: bounds what a check costs. */
const MAX_GRANTS = 100;

/**
 * The identity that verified claims describe.
 * @throws {Error} naming the claim that is not as documented
 */
export function identityOf(claims: unknown): Identity {
  if (!isObject(claims)) throw new Error("the payload is not a JSON object");
  const { sub, exp } = claims;
  if (typeof sub !== "string" || sub.length === 0 || sub.length > 256) {
    throw new Error("claim `sub` is a string of 1 to 256 characters");
  }
  if (typeof exp !== "number" || !(exp < MAX_EXP)) throw new Error("claim `exp` is required, in seconds");
  const grants = claims.channels === undefined ? [] : parseGrants(claims.channels, "claim `channels`");
  if (grants.length > MAX_GRANTS) throw new Error(`claim \`channels\` holds at most ${MAX_GRANTS} patterns`);
  return { user: sub, expiresAt: exp * 1000, grants };
}
