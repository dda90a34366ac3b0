/** Sessions told of an interruption in one turn. */
const TOLD_PER_TURN = 200;

export interface Subscriber {
  /** Events of its channels may have been missed; the stream goes on. */
  interrupted(): void;
}

/** The sessions of this node. */
export class Sessions extends Set<Subscriber> {
  /**
   * Tells every subscriber that events may be missing: what is lost is never lost silently. In slices: a full node
   * has more subscriptions than one turn of the event loop should take.
   */
  interrupted(): void {
    const sessions = [...this].values();
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
}
