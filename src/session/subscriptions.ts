import type { Hub } from "../hub/hub.ts";
import { RequestError } from "../protocol/codes.ts";
import type { Connection } from "./connection.ts";

/** What one session listens to. The events themselves go from the hub to its connection, past the session. */
export class Subscriptions {
  readonly #hub: Hub;
  readonly #connection: Connection;
  /** 0: no limit. */
  readonly #limit: number;
  readonly #names = new Set<string>();
  /** Under way at the backplane: counted, so that pipelined ones cannot pass the limit together. */
  #joining: Set<string> | undefined;
  #over = false;

  constructor(hub: Hub, connection: Connection, limit: number) {
    this.#hub = hub;
    this.#connection = connection;
    this.#limit = limit;
  }

  /** The channel of a session that has exactly one, be it on its way. */
  get only(): string | undefined {
    if (this.#size !== 1) return undefined;
    const [name] = this.#joining ?? this.#names;
    return name;
  }

  get #size(): number {
    return this.#names.size + (this.#joining?.size ?? 0);
  }

  /**
   * Subscribes, and calls `confirm` right before the first event can come; at once when it is subscribed already.
   * @param authorise throws when it may not; asked again after the wait, since the token may be another by then
   * @throws {RequestError} too_many_channels, backplane_unavailable
   */
  async add(channel: string, authorise: () => void, confirm: () => void): Promise<void> {
    authorise();
    if (this.#names.has(channel)) return confirm();
    if (this.#limit > 0 && this.#size >= this.#limit) {
      throw new RequestError("too_many_channels", `the limit is ${this.#limit}`, { channel });
    }
    // The hub's copy of the name is kept: this one was cut out of a frame or URL, which it would keep alive.
    const name = await this.#join(channel);
    try {
      if (this.#over) return this.#hub.unsubscribe(name);
      authorise();
    } catch (error) {
      this.#hub.unsubscribe(name);
      throw error;
    }
    this.#names.add(name);
    confirm();
    this.#connection.join(name);
  }

  async #join(channel: string): Promise<string> {
    this.#joining ??= new Set();
    this.#joining.add(channel);
    try {
      return await this.#hub.subscribe(channel);
    } finally {
      this.#joining.delete(channel);
      if (this.#joining.size === 0) this.#joining = undefined;
    }
  }

  /** No event of the channel reaches the connection any more. */
  remove(channel: string): void {
    if (!this.#names.delete(channel)) return;
    this.#connection.leave(channel);
    this.#hub.unsubscribe(channel);
  }

  /** Removes all, for good. */
  end(): void {
    this.#over = true;
    for (const name of this.#names) this.remove(name);
  }

  [Symbol.iterator](): Iterator<string> {
    return this.#names.values();
  }
}
