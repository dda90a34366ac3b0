import type { EncodedEvent } from "../hub/encoded-event.ts";
import { RequestError } from "../protocol/codes.ts";
import { type Backplane, type BackplaneEvents, MAX_REVOCATIONS } from "./backplane.ts";

/** The same promises within one process: development, tests, and one node without Redis. */
export class MemoryBackplane implements Backplane {
  readonly downSince = undefined;
  readonly connects = 1;
  readonly probeMs = 0;
  readonly #channels = new Set<string>();
  readonly #revocations = new Map<string, number>();
  readonly #counts = new Map<string, number>();
  readonly #node: string;
  readonly #events: BackplaneEvents;
  readonly knowsRevocations = true;

  constructor(node: string, events: BackplaneEvents) {
    this.#node = node;
    this.#events = events;
  }

  start(): void {}

  async subscribe(channel: string): Promise<void> {
    this.#channels.add(channel);
  }

  unsubscribe(channel: string): void {
    this.#channels.delete(channel);
  }

  async publish(event: EncodedEvent): Promise<number> {
    if (!this.#channels.has(event.channel)) return 0;
    this.#events.event(event, "framed");
    return 1;
  }

  async revoke(revocation: string, until: number): Promise<void> {
    const now = Date.now();
    for (const [kept, end] of this.#revocations) if (end <= now) this.#revocations.delete(kept);
    if (this.#revocations.size >= MAX_REVOCATIONS)
      throw new RequestError("too_many_revocations", `the limit is ${MAX_REVOCATIONS}`);
    this.#revocations.set(revocation, Math.max(until, this.#revocations.get(revocation) ?? 0));
    this.#events.revoked(revocation, until);
  }

  async countConnections(counts: readonly (readonly [string, number])[]): Promise<readonly number[]> {
    for (const [user, count] of counts) {
      if (count > 0) this.#counts.set(user, count);
      else this.#counts.delete(user);
    }
    return counts.map(([, count]) => count);
  }

  async connectionsOf(user: string): Promise<ReadonlyMap<string, number>> {
    const count = this.#counts.get(user);
    return new Map(count === undefined ? [] : [[this.#node, count]]);
  }

  async close(): Promise<void> {
    this.#channels.clear();
  }
}
