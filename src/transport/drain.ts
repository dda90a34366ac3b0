import type { CloseReason } from "../protocol/codes.ts";

/** Balancers that probe every second have noticed by then that this node is not ready. */
const NOTICE_MS = 3_000;
const STEP_MS = 50;
/** From a client's notice to its close: to open the next connection, and to get what was missed meanwhile. */
const GRACE_MS = 10_000;
/** For HTTP requests under way at the end: as long as one may wait for the backplane. */
const MAX_REQUEST_MS = 2_000;

/** A connection of a node that stops. */
export interface Leaving {
  /** Asks the client to open its next connection in `reconnectInMs`, and tells it when this one will be closed. */
  handOver(graceMs: number, reconnectInMs: number): void;
  close(reason: CloseReason): void;
}

/**
 * Ends all connections of a node that is stopped. Make before break: each client is told, opens its next connection on
 * another node, and drops this one; what is left when its grace is over is closed. At a flat rate, since all at once
 * would come back as a storm.
 */
export class Drain {
  readonly #connections: Iterable<Leaving>;
  readonly #requests: { readonly open: number };
  readonly #timeMs: number;
  /** The node says that it is not ready, and still takes whom it is sent. */
  begun = false;
  /** Nobody new any more. */
  closing = false;

  /** @param requests HTTP requests that are being answered */
  constructor(connections: Iterable<Leaving>, requests: { readonly open: number }, timeMs: number) {
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
    await this.#handOver(end);
    for (const connection of [...this.#connections]) connection.close("shutting_down");
    for (let waited = 0; this.#requests.open > 0 && waited < MAX_REQUEST_MS; waited += STEP_MS)
      await sleep(STEP_MS);
  }

  /** Tells one after the other, and closes each a grace later. Over when nobody is left, or at `end`. */
  async #handOver(end: number): Promise<void> {
    const start = performance.now();
    const graceMs = Math.min(GRACE_MS, (end - start) / 2);
    const tellingMs = end - start - graceMs;
    if (tellingMs <= 0) return;
    const all = [...this.#connections];
    let told = 0;
    let closed = 0;
    const upTo = (elapsed: number) => Math.min(all.length, Math.ceil((all.length * elapsed) / tellingMs));
    while (this.#any() && performance.now() < end) {
      const elapsed = performance.now() - start;
      for (const due = upTo(elapsed); told < due; told++)
        all[told]?.handOver(Math.round(graceMs), Math.round((Math.random() * graceMs) / 2));
      for (const due = upTo(elapsed - graceMs); closed < due; closed++) all[closed]?.close("shutting_down");
      await sleep(STEP_MS);
    }
  }

  #any(): boolean {
    return this.#connections[Symbol.iterator]().next().done === false;
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
