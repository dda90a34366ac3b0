import type { Identity } from "./identity.ts";

/** Tokens held at a time: 8 MiB at most. */
const MAX_TOKENS = 1_000;
/** How long one is held: a signing key that was withdrawn is believed for no longer. */
const HELD_MS = 10_000;

interface Held {
  readonly identity: Identity;
  /** `Date.now`. */
  readonly until: number;
}

/**
 * Verifies tokens, and remembers for some seconds whose they were: a backend sends the same one with each request, and a
 * signature costs more than all the rest of a publish. What can change meanwhile is asked each time.
 */
export class VerifiedTokens {
  readonly #verify: (token: string) => Identity | Promise<Identity>;
  readonly #checkStanding: (identity: Identity) => void;
  readonly #held = new Map<string, Held>();

  /** @param checkStanding throws when a token was revoked */
  constructor(
    verify: (token: string) => Identity | Promise<Identity>,
    checkStanding: (identity: Identity) => void,
  ) {
    this.#verify = verify;
    this.#checkStanding = checkStanding;
  }

  /** @throws {RequestError} those of a token */
  verify(token: string): Identity | Promise<Identity> {
    const held = this.#held.get(token);
    if (held && held.until > Date.now()) {
      this.#checkStanding(held.identity);
      return held.identity;
    }
    const identity = this.#verify(token);
    return identity instanceof Promise
      ? identity.then((found) => this.#hold(token, found))
      : this.#hold(token, identity);
  }

  #hold(token: string, identity: Identity): Identity {
    this.#held.delete(token);
    this.#held.set(token, { identity, until: Math.min(Date.now() + HELD_MS, identity.expiresAt) });
    const [oldest] = this.#held.keys();
    if (this.#held.size > MAX_TOKENS && oldest !== undefined) this.#held.delete(oldest);
    return identity;
  }
}
