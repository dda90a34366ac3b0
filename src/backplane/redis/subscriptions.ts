import { promisify } from "node:util";
import type { Redis } from "ioredis";

/** Redis channels in one SUBSCRIBE: a long list is cut, so that other replies get in between. */
const BATCH = 1_000;

/** A storm of clients arrives in one tick, each in a callback of its own: microtasks would make a command of each. */
const afterThisTick = promisify(setImmediate);

/**
 * Which channels this node hears. Those asked for in one tick go out as one command; the order of calls is kept;
 * after a reconnect all that stand are asked for anew.
 */
export class Subscriptions {
  readonly #redis: Redis;
  /** The Redis channels of one channel. */
  readonly #names: (channel: string) => readonly string[];
  /** Each with the call that asked for it last. */
  readonly #wanted = new Map<string, symbol>();
  #queue: { subscribe: boolean; names: string[]; done: Promise<unknown> } | undefined;

  constructor(redis: Redis, names: (channel: string) => readonly string[]) {
    this.#redis = redis;
    this.#names = names;
  }

  /** Resolves when Redis has confirmed. A rejected one is taken back. */
  async add(channel: string): Promise<void> {
    const call = Symbol(channel);
    this.#wanted.set(channel, call);
    try {
      await this.#enqueue(true, channel);
    } catch (error) {
      // It may have arrived although the answer did not (a timeout): taken back behind it, in order.
      // Not if somebody has asked again since: that call has its own answer.
      if (this.#wanted.get(channel) === call) this.remove(channel);
      throw error;
    }
  }

  remove(channel: string): void {
    this.#wanted.delete(channel);
    // Without a connection there is nothing to take back.
    this.#enqueue(false, channel).catch(() => {});
  }

  /** After a reconnect: everything that is wanted, in batches. */
  async renew(): Promise<void> {
    let names: string[] = [];
    // The map itself and no copy: what is unsubscribed meanwhile must not be asked for by a later batch.
    for (const channel of this.#wanted.keys()) {
      names.push(...this.#names(channel));
      if (names.length < BATCH) continue;
      await this.#redis.subscribe(...names);
      names = [];
    }
    if (names.length > 0) await this.#redis.subscribe(...names);
  }

  #enqueue(subscribe: boolean, channel: string): Promise<unknown> {
    const names = this.#names(channel);
    const open = this.#queue;
    if (open?.subscribe === subscribe && open.names.length + names.length <= BATCH) {
      open.names.push(...names);
      return open.done;
    }
    // A batch is closed by one of the other kind: this keeps the order of calls.
    const batch = { subscribe, names: [...names], done: undefined as unknown as Promise<unknown> };
    batch.done = afterThisTick().then(() => {
      if (this.#queue === batch) this.#queue = undefined;
      return subscribe ? this.#redis.subscribe(...batch.names) : this.#redis.unsubscribe(...batch.names);
    });
    this.#queue = batch;
    return batch.done;
  }
}
