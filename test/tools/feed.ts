import type { Feed } from "../../src/hub/hub.ts";
import { RequestError } from "../../src/protocol/codes.ts";

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
  readonly #pending: Pending[] = [];
  #answersAtOnce: boolean;

  /** @param answersAtOnce false: `resolve` and `reject` answer */
  constructor(answersAtOnce = true) {
    this.#answersAtOnce = answersAtOnce;
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
