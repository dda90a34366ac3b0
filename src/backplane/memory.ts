import type { EncodedEvent } from "../hub/encoded-event.ts";
import { type Backplane, type BackplaneEvents, checkRevocations, forgetEnded } from "./backplane.ts";

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
    forgetEnded(this.#revocations);
    checkRevocations(this.#revocations.size);
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
