import type { Revocation } from "../auth/revocations.ts";

/** A session as its node sees it. */
export interface Registered {
  /** Ends if it is meant. */
  obey(revocation: Revocation): void;
}

/** The sessions of this node. */
export class Sessions {
  readonly #all = new Set<Registered>();

  add(session: Registered): void {
    this.#all.add(session);
  }

  delete(session: Registered): void {
    this.#all.delete(session);
  }

  /** All are asked: a look at each of 15,000 takes a millisecond, and an index by user and token would cost memory. */
  obey(revocation: Revocation): void {
    for (const session of this.#all) session.obey(revocation);
  }
}
