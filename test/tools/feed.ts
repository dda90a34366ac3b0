import { type HistoryRule, historyOf } from "../../src/backplane/history.ts";
import { MemoryHistory } from "../../src/backplane/memory-history.ts";
import type { Feed, Keeps, Page } from "../../src/hub/feed.ts";
import { RequestError } from "../../src/protocol/codes.ts";
import type { Position } from "../../src/protocol/position.ts";

/** Every channel keeps its events. */
export const KEEPS_ALL: readonly HistoryRule[] = [{ pattern: "*", size: 1_000, timeMs: 600_000 }];

interface Pending {
  readonly channel: string;
  resolve(): void;
  reject(error: Error): void;
}

/** A backplane whose answers the test gives, one by one; it keeps the promises that `Feed` states. */
export class FakeFeed implements Feed {
  /** Calls in the order made: `+chat-1`, `-chat-1`. */
  readonly calls: string[] = [];
  /** What this node hears, or will as soon as the test says so. */
  readonly standing = new Set<string>();
  /** Where a test publishes what channels are to keep. */
  readonly history: MemoryHistory;
  /** Reads of the history so far: `head x`, `after x`, `before x`. */
  readonly reads: string[] = [];
  /** Set: what every read of the history fails with. */
  failure: RequestError | undefined;
  readonly #pending: Pending[] = [];
  readonly #rules: readonly HistoryRule[];
  #answersAtOnce: boolean;

  /**
   * @param answersAtOnce false: `resolve` and `reject` answer
   * @param rules what channels keep: nothing, unless they say otherwise
   */
  constructor(answersAtOnce = true, rules: readonly HistoryRule[] = []) {
    this.#answersAtOnce = answersAtOnce;
    this.#rules = rules;
    this.history = new MemoryHistory(rules);
  }

  subscribe(channel: string): Promise<void> {
    this.calls.push(`+${channel}`);
    if (this.standing.has(channel)) throw new Error(`the hub subscribed the node to ${channel} twice`);
    this.standing.add(channel);
    if (this.#answersAtOnce) return Promise.resolve();
    return new Promise((resolve, reject) => this.#pending.push({ channel, resolve, reject }));
  }

  unsubscribe(channel: string): void {
    this.calls.push(`-${channel}`);
    if (!this.standing.delete(channel)) throw new Error(`the hub took back ${channel}, which did not stand`);
  }

  keeps(channel: string): Keeps | undefined {
    return historyOf(this.#rules, channel);
  }

  async fork(channel: string): Promise<Position | undefined> {
    return this.history.head(channel);
  }

  async head(channel: string): Promise<Position | undefined> {
    this.#look("head", channel);
    return this.history.head(channel);
  }

  async readAfter(channel: string, offset: number, limit: number): Promise<Page> {
    this.#look("after", channel);
    return this.history.readAfter(channel, offset, limit);
  }

  async readBefore(channel: string, offset: number, limit: number): Promise<Page> {
    this.#look("before", channel);
    return this.history.readBefore(channel, offset, limit);
  }

  #look(kind: string, channel: string): void {
    this.reads.push(`${kind} ${channel}`);
    if (this.failure) throw this.failure;
  }

  get pending(): readonly string[] {
    return this.#pending.map(({ channel }) => channel);
  }

  /** Confirms the oldest call under way for the channel. */
  resolve(channel: string): void {
    this.#take(channel).resolve();
  }

  /** Refuses it: nothing is left behind. */
  reject(channel: string): void {
    this.standing.delete(channel);
    this.#take(channel).reject(new RequestError("backplane_unavailable"));
  }

  /** From now on as after a reconnect: everything is confirmed at once. */
  recover(): void {
    this.#answersAtOnce = true;
    for (const { channel } of [...this.#pending]) this.resolve(channel);
  }

  #take(channel: string): Pending {
    const at = this.#pending.findIndex((one) => one.channel === channel);
    const [found] = at < 0 ? [] : this.#pending.splice(at, 1);
    if (!found) throw new Error(`no subscribe of ${channel} is under way`);
    return found;
  }
}

/** Of a node that is alone. */
export const NOBODY_COUNTS = { countSubscribers: async () => {} };
