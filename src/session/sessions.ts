import type { Revocation } from "../auth/revocations.ts";

/** Sessions told of an interruption in one turn. */
const TOLD_PER_TURN = 200;

/** A session as its node sees it. */
export interface Registered {
  /** Events of its channels may have been missed; the stream goes on. */
  interrupted(): void;
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

  /**
   * Tells every subscriber that events may be missing: what is lost is never lost silently. In slices: a full node
   * has more subscriptions than one turn of the event loop should take.
   */
  interrupted(): void {
    const sessions = [...this.#all].values();
    const tellSome = () => {
      for (let i = 0; i < TOLD_PER_TURN; i++) {
        const next = sessions.next();
        if (next.done) return;
        next.value.interrupted();
      }
      setImmediate(tellSome);
    };
    tellSome();
  }

  /** All are asked: a look at each of 15,000 takes a millisecond, and an index by user and token would cost memory. */
  obey(revocation: Revocation): void {
    for (const session of this.#all) session.obey(revocation);
  }
}
