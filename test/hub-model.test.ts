import fc from "fast-check";
import { expect, it } from "vitest";
import type { EncodedEvent } from "../src/hub/encoded-event.ts";
import { Hub, type Subscriber } from "../src/hub/hub.ts";
import { FakeFeed } from "./tools/feed.ts";
import { nextTick } from "./tools/turns.ts";

/*
 * The hub against a model, under random interleavings: whatever the feed answers and whenever listeners come and go,
 * the node is subscribed exactly where there is interest, and everybody gets exactly what was published between its
 * confirmation and its unsubscribe, in order.
 */

const CHANNELS = ["x", "y"];
const LISTENERS = [0, 1, 2];

type Step =
  | { readonly do: "join" | "leave"; readonly listener: number; readonly channel: string }
  | { readonly do: "publish" | "resolve" | "reject"; readonly channel: string }
  | { readonly do: "settle" | "tick" };

const channel = fc.constantFrom(...CHANNELS);
const listener = fc.constantFrom(...LISTENERS);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("join" as const), listener, channel }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("leave" as const), listener, channel }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("publish" as const), channel }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("resolve" as const), channel }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reject" as const), channel }) },
  { weight: 3, arbitrary: fc.constant({ do: "settle" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "tick" as const }) },
);

/** One listener's stay on one channel, as the model sees it. */
interface Stay {
  state: "joining" | "live" | "over";
  /** Events published while it was live, of this tick last. */
  readonly due: number[];
  readonly got: number[];
  /** How many of `due` have surely gone out: what came in an earlier tick. */
  sure: number;
}

class World {
  readonly feed = new FakeFeed(false);
  readonly hub = new Hub(this.feed);
  readonly stays: Stay[] = [];
  /** By listener and channel: the newest. */
  readonly #current = new Map<string, Stay>();
  readonly #listeners = LISTENERS.map((id) => this.#listener(id));
  #published = 0;
  readonly #strays: string[] = [];

  #listener(id: number): Subscriber {
    return {
      deliver: (events) => {
        for (const event of events) this.#deliver(id, event);
      },
      interrupted: () => {},
      outbox: undefined,
    };
  }

  #deliver(id: number, { channel, text }: EncodedEvent): void {
    const stay = this.#current.get(`${id} ${channel}`);
    if (stay?.state === "live") stay.got.push(text[0] as number);
    else this.#strays.push(`${id} got an event of ${channel} without being subscribed`);
  }

  join(id: number, channel: string): void {
    const key = `${id} ${channel}`;
    const before = this.#current.get(key);
    // A session subscribes once at a time, and only after an earlier attempt has been answered.
    if (before && before.state !== "over") return;
    if (before && this.#pendingOf(before)) return;
    const stay: Stay = { state: "joining", due: [], got: [], sure: 0 };
    this.#current.set(key, stay);
    this.stays.push(stay);
    this.#answers.add(stay);
    this.hub
      .subscribe(channel, this.#listeners[id] as Subscriber, (name) => {
        expect(name).toBe(channel);
        if (stay.state !== "joining") return false;
        stay.state = "live";
        return true;
      })
      .catch(() => {
        stay.state = "over";
      })
      .finally(() => this.#answers.delete(stay));
  }

  readonly #answers = new Set<Stay>();
  #pendingOf(stay: Stay): boolean {
    return this.#answers.has(stay);
  }

  leave(id: number, channel: string): void {
    const stay = this.#current.get(`${id} ${channel}`);
    if (!stay || stay.state === "over") return;
    this.hub.unsubscribe(channel, this.#listeners[id] as Subscriber);
    if (stay.state === "live") {
      // What had not gone out by then is not owed: nothing follows an unsubscribe.
      stay.due.length = Math.max(stay.sure, stay.got.length);
    }
    stay.state = "over";
  }

  publish(channel: string): void {
    const n = this.#published++ % 256;
    for (const id of LISTENERS) {
      const stay = this.#current.get(`${id} ${channel}`);
      if (stay?.state === "live") stay.due.push(n);
    }
    this.hub.deliver({ channel, text: Uint8Array.of(n), binary: undefined, except: undefined });
  }

  async tick(): Promise<void> {
    await nextTick();
    for (const stay of this.stays) if (stay.state === "live") stay.sure = stay.due.length;
  }

  /** Listeners who are there or on their way. */
  interest(channel: string): boolean {
    return LISTENERS.some((id) => {
      const stay = this.#current.get(`${id} ${channel}`);
      return stay !== undefined && (stay.state !== "over" || this.#pendingOf(stay));
    });
  }

  check(): void {
    expect(this.#strays).toEqual([]);
    for (const { due, got, state } of this.stays) {
      if (state === "over") expect(got).toEqual(due);
      else expect(due.slice(0, got.length)).toEqual(got);
    }
    const live = this.stays.filter(({ state }) => state === "live").length;
    expect(this.hub.subscriptions).toBe(live);
  }

  checkAtRest(): void {
    this.check();
    for (const { due, got } of this.stays) expect(got).toEqual(due);
    for (const channel of CHANNELS) {
      expect(this.feed.standing.has(channel), `the node hears ${channel}`).toBe(this.interest(channel));
    }
    expect(this.hub.channels).toBe(CHANNELS.filter((channel) => this.interest(channel)).length);
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const one of steps) {
      await this.#take(one);
      this.check();
    }
    await this.tick();
    this.checkAtRest();
    this.feed.recover();
    await this.tick();
    this.checkAtRest();
    for (const id of LISTENERS) for (const channel of CHANNELS) this.leave(id, channel);
    await this.tick();
    this.checkAtRest();
    expect([this.hub.channels, this.hub.subscriptions, this.feed.standing.size]).toEqual([0, 0, 0]);
  }

  async #take(one: Step): Promise<void> {
    switch (one.do) {
      case "join":
        return this.join(one.listener, one.channel);
      case "leave":
        return this.leave(one.listener, one.channel);
      case "publish":
        return this.publish(one.channel);
      case "resolve":
      case "reject":
        if (this.feed.pending.includes(one.channel)) this.feed[one.do](one.channel);
        return;
      case "settle":
        // A few turns of the microtask queue, and no tick.
        for (let i = 0; i < 5; i++) await Promise.resolve();
        return;
      case "tick":
        await this.tick();
    }
  }
}

it("keeps to the model of the hub, whatever happens in whatever order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => new World().run(steps)),
    { numRuns: 1_500 },
  );
});
