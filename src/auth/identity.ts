import { isObject } from "../protocol/json.ts";
import { type AdminAction, type Grant, parseAdmin, parseGrants } from "./grants.ts";

/** Who a connection or a request is, and what its token lets it do. */
export interface Identity {
  /** The token's `sub`. */
  readonly user: string;
  /** The token's `exp`, in milliseconds since the epoch. */
  readonly expiresAt: number;
  /** Its `iat`, likewise; 0 when it has none. */
  readonly issuedAt: number;
  /** The token's own name, by which it can be revoked. */
  readonly jti: string | undefined;
  readonly grants: readonly Grant[];
  /** What it may do that concerns others. */
  readonly admin: readonly AdminAction[];
  /** The claim `info`, shown where the user is present: JSON text in one line. */
  readonly info?: string | undefined;
}

/** The year 5138: beyond it `exp` was not meant in seconds. */
const MAX_EXP = 1e11;

/** Channel patterns in one token: bounds what a check costs. */
export const MAX_GRANTS = 100;

/** Of `sub` and of `jti`. */
export const MAX_NAME_LENGTH = 256;
/** Of the claim `info`, as JSON. */
const MAX_INFO_BYTES = 512;
/** Completes the sentence "`sub` is". */
export const NAME_RULE = `a string of 1 to ${MAX_NAME_LENGTH} characters`;

/**
 * The identity that verified claims describe.
 * @throws {Error} naming the claim that is not as documented
 */
export function identityOf(claims: unknown): Identity {
  if (!isObject(claims)) throw new Error("the payload is not a JSON object");
  const { sub, exp, iat, jti, info } = claims;
  if (!isName(sub)) throw new Error(`claim \`sub\` is ${NAME_RULE}`);
  if (jti !== undefined && !isName(jti)) throw new Error(`claim \`jti\` is ${NAME_RULE}`);
  if (typeof exp !== "number" || !(exp < MAX_EXP)) throw new Error("claim `exp` is required, in seconds");
  const grants = claims.channels === undefined ? [] : parseGrants(claims.channels, "claim `channels`");
  if (grants.length > MAX_GRANTS) throw new Error(`claim \`channels\` holds at most ${MAX_GRANTS} patterns`);
  return {
    user: sub,
    expiresAt: exp * 1000,
    issuedAt: typeof iat === "number" ? iat * 1000 : 0,
    jti,
    grants,
    admin: claims.admin === undefined ? [] : parseAdmin(claims.admin, "claim `admin`"),
    info: info === undefined ? undefined : infoOf(info),
  };
}

function infoOf(claim: unknown): string {
  const info = JSON.stringify(claim);
  if (Buffer.byteLength(info) > MAX_INFO_BYTES)
    throw new Error(`claim \`info\` is at most ${MAX_INFO_BYTES} bytes of JSON`);
  return info;
}

/** A `sub` or `jti` of a length that we keep. */
export function isName(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= MAX_NAME_LENGTH;
}
