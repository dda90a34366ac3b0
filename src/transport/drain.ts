import type { CloseReason } from "../protocol/codes.ts";

/** Balancers that probe every second have noticed by then that this node is not ready. */
const NOTICE_MS = 3_000;
const STEP_MS = 50;
/** For HTTP requests under way at the end: as long as one may wait for the backplane. */
const MAX_REQUEST_MS = 2_000;

export interface Closable {
  close(reason: CloseReason): void;
}

/** Ends all connections of a node that is stopped: at a flat rate, since all at once would come back as a storm. */
export class Drain {
  readonly #connections: Iterable<Closable>;
  readonly #requests: { readonly open: number };
  readonly #timeMs: number;
  /** The node says that it is not ready, and still takes whom it is sent. */
  begun = false;
  /** Nobody new any more. */
  closing = false;

  /** @param requests HTTP requests that are being answered */
  constructor(connections: Iterable<Closable>, requests: { readonly open: number }, timeMs: number) {
    this.#connections = connections;
    this.#requests = requests;
    this.#timeMs = timeMs;
  }

  /** @param closeDoor called when nobody new is taken any more */
  async run(closeDoor: () => void): Promise<void> {
    this.begun = true;
    const end = performance.now() + this.#timeMs;
    if (this.#any()) await sleep(Math.min(NOTICE_MS, this.#timeMs / 3));
    this.closing = true;
    closeDoor();
    const start = performance.now();
    const { length: total } = [...this.#connections];
    for (;;) {
      const left = [...this.#connections];
      if (left.length === 0) break;
      const timeLeft = Math.max(0, end - performance.now());
      const mayStay = timeLeft === 0 ? 0 : Math.floor((total * timeLeft) / (end - start));
      for (const connection of left.slice(mayStay)) connection.close("shutting_down");
      if (timeLeft === 0) break;
      await sleep(STEP_MS);
    }
    for (let waited = 0; this.#requests.open > 0 && waited < MAX_REQUEST_MS; waited += STEP_MS)
      await sleep(STEP_MS);
  }

  #any(): boolean {
    return this.#connections[Symbol.iterator]().next().done === false;
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
