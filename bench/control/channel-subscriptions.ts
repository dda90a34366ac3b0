import type { Redis } from "ioredis";

interface Entry {
  listeners: number;
  subscribed: Promise<unknown>;
}

/** One SUBSCRIBE per channel while anyone listens to it. */
export class ChannelSubscriptions {
  readonly #redis: Redis;
  readonly #entries = new Map<string, Entry>();

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Resolves when Redis has confirmed the channel. */
  add(channel: string): Promise<unknown> {
    let entry = this.#entries.get(channel);
    if (entry === undefined) {
      entry = { listeners: 0, subscribed: this.#redis.subscribe(`tidegate:${channel}`) };
      this.#entries.set(channel, entry);
    }
    entry.listeners++;
    return entry.subscribed;
  }

  remove(channel: string): void {
    const entry = this.#entries.get(channel);
    if (entry === undefined || --entry.listeners > 0) return;
    this.#entries.delete(channel);
    void this.#redis.unsubscribe(`tidegate:${channel}`);
  }
}
