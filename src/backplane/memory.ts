import type { EncodedEvent } from "../hub/encoded-event.ts";
import type { Backplane, BackplaneEvents } from "./backplane.ts";

/** The same promises within one process: development, tests, and one node without Redis. */
export class MemoryBackplane implements Backplane {
  readonly downSince = undefined;
  readonly connects = 1;
  readonly probeMs = 0;
  readonly #channels = new Set<string>();
  readonly #events: BackplaneEvents;

  constructor(events: BackplaneEvents) {
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

  async close(): Promise<void> {
    this.#channels.clear();
  }
}
