import { isObject, parse } from "../protocol/json.ts";
import type { Identity } from "./identity.ts";

/**
 * What ends access before a token's `exp`: one token by its `jti`; all tokens of a user issued before a time; or, tokens
 * left valid, the connections that a user had open at a time. Times are milliseconds since the epoch.
 */
export type Revocation =
  | { readonly jti: string }
  | { readonly sub: string; readonly issuedBefore: number }
  | { readonly sub: string; readonly openedBefore: number };

const TIDY_INTERVAL_MS = 60_000;

export function encodeRevocation(revocation: Revocation): string {
  return JSON.stringify(revocation);
}

/** Undefined when it is none: it came through Redis. */
export function decodeRevocation(text: string): Revocation | undefined {
  const value = parse(text);
  if (!isObject(value)) return undefined;
  const { jti, sub, issuedBefore, openedBefore } = value;
  if (typeof jti === "string") return { jti };
  if (typeof sub !== "string") return undefined;
  if (typeof issuedBefore === "number") return { sub, issuedBefore };
  if (typeof openedBefore === "number") return { sub, openedBefore };
  return undefined;
}

/** Whether it ends a connection of `identity` that was opened then. */
export function ends(revocation: Revocation, identity: Identity, openedAt: number): boolean {
  if ("jti" in revocation) return identity.jti === revocation.jti;
  if (identity.user !== revocation.sub) return false;
  if ("openedBefore" in revocation) return openedAt < revocation.openedBefore;
  return identity.issuedAt < revocation.issuedBefore;
}

interface Kept {
  /** Of a user: issued before. Of one token, 0. */
  readonly before: number;
  readonly until: number;
}

/** The tokens that count no more, as far as this node was told. */
export class Revocations {
  readonly #tokens = new Map<string, Kept>();
  readonly #users = new Map<string, Kept>();
  #tidiedAt = 0;

  get size(): number {
    return this.#tokens.size + this.#users.size;
  }

  /** @param until when it may be forgotten, since no token that it means is valid any more */
  add(revocation: Revocation, until: number): void {
    this.#tidy();
    if ("jti" in revocation) keep(this.#tokens, revocation.jti, { before: 0, until });
    else if ("issuedBefore" in revocation)
      keep(this.#users, revocation.sub, { before: revocation.issuedBefore, until });
  }

  covers({ jti, user, issuedAt }: Identity): boolean {
    const now = Date.now();
    const token = jti === undefined ? undefined : this.#tokens.get(jti);
    if (token && token.until > now) return true;
    const all = this.#users.get(user);
    return all !== undefined && all.until > now && issuedAt < all.before;
  }

  #tidy(): void {
    const now = Date.now();
    if (now - this.#tidiedAt < TIDY_INTERVAL_MS) return;
    this.#tidiedAt = now;
    for (const kept of [this.#tokens, this.#users]) {
      for (const [key, { until }] of kept) if (until <= now) kept.delete(key);
    }
  }
}

/** Of two about the same, what both say: the order in which they are heard does not matter. */
function keep(among: Map<string, Kept>, key: string, { before, until }: Kept): void {
  const known = among.get(key);
  among.set(key, {
    before: Math.max(before, known?.before ?? 0),
    until: Math.max(until, known?.until ?? 0),
  });
}
