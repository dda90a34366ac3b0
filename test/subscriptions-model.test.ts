import fc from "fast-check";
import { expect, it } from "vitest";
import type { HistoryRule } from "../src/backplane/history.ts";
import type { EncodedEvent } from "../src/hub/encoded-event.ts";
import { Hub } from "../src/hub/hub.ts";
import { Subscriptions } from "../src/session/subscriptions.ts";
import { FakeConnection } from "./tools/conversation.ts";
import { FakeFeed, KEEPS_ALL, NOBODY_COUNTS } from "./tools/feed.ts";
import { nextTick } from "./tools/turns.ts";

/*
 * Hub and subscriptions against a model, under random interleavings: whatever the feed answers, whenever listeners
 * come, go, end or lose their grant, the node is subscribed exactly where there is interest, and everybody gets
 * exactly what was published between its confirmation and its unsubscribe, in order.
 */

const CHANNELS = ["x", "y"];
const LISTENERS = [0, 1, 2];

type Step =
  | { readonly do: "join" | "leave"; readonly listener: number; readonly channel: string }
  | { readonly do: "end" | "revoke" | "grant"; readonly listener: number }
  | { readonly do: "publish" | "resolve" | "reject"; readonly channel: string }
  | { readonly do: "settle" };

const channel = fc.constantFrom(...CHANNELS);
const listener = fc.constantFrom(...LISTENERS);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("join" as const), listener, channel }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("leave" as const), listener, channel }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("end" as const, "revoke" as const), listener }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("grant" as const), listener }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("publish" as const), channel }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("resolve" as const), channel }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reject" as const), channel }) },
  { weight: 3, arbitrary: fc.constant({ do: "settle" as const }) },
);

/** One client after the other in the same chair. */
class Chair {
  readonly #world: World;
  #granted = true;
  connection = new FakeConnection("");
  subscriptions: Subscriptions;
  /** By channel: what it should have got since it was confirmed. */
  readonly live = new Map<string, string[]>();
  readonly underWay = new Set<string>();

  constructor(world: World) {
    this.#world = world;
    this.subscriptions = this.#sit();
  }

  #sit(): Subscriptions {
    this.connection = new FakeConnection("");
    return new Subscriptions(this.#world.hub, this.connection, 0);
  }

  join(channel: string): void {
    // A session carries out the commands for one channel one after the other.
    if (this.underWay.has(channel) || this.live.has(channel)) return;
    const { underWay, subscriptions } = this;
    underWay.add(channel);
    this.#world.underWay++;
    const authorise = () => {
      if (!this.#granted) throw new Error("forbidden");
    };
    subscriptions
      .add(channel, undefined, authorise, () => {
        expect(this.subscriptions, "nobody is confirmed after its end").toBe(subscriptions);
        expect(this.#granted).toBe(true);
        this.live.set(channel, []);
      })
      .catch(() => {})
      .finally(() => {
        if (this.subscriptions === subscriptions) underWay.delete(channel);
        this.#world.underWay--;
      });
  }

  leave(channel: string): void {
    if (this.underWay.has(channel)) return;
    this.subscriptions.remove(channel);
    this.live.delete(channel);
  }

  end(): void {
    this.subscriptions.end();
    this.live.clear();
    this.underWay.clear();
    expect(this.connection.channels.size).toBe(0);
    this.subscriptions = this.#sit();
  }

  allow(granted: boolean): void {
    this.#granted = granted;
  }

  hear({ channel, text }: EncodedEvent): void {
    if (!this.connection.channels.has(channel)) return;
    const got = this.live.get(channel);
    if (!got) throw new Error(`an event of ${channel} for who is not subscribed`);
    const { data } = JSON.parse(Buffer.from(text).toString()) as { data: number };
    got.push(String(data));
  }
}

class World {
  readonly feed: FakeFeed;
  readonly hub: Hub;
  readonly #chairs: readonly Chair[];
  /** Events so far: each one's data is its number. */
  #published = 0;
  underWay = 0;

  constructor(rules: readonly HistoryRule[]) {
    this.feed = new FakeFeed(false, rules);
    this.hub = new Hub(
      this.feed,
      [
        {
          broadcast: (event) => {
            for (const chair of this.#chairs) chair.hear(event);
          },
          lost: () => expect.unreachable("nothing was interrupted"),
        },
      ],
      0,
      { holes: 0, historyReads: 0, continuityLost: { add: () => {} } },
      NOBODY_COUNTS,
    );
    this.#chairs = LISTENERS.map(() => new Chair(this));
  }

  #publish(channel: string): void {
    const data = String(this.#published++);
    const due = this.#chairs.map((chair) => chair.live.get(channel)).filter((got) => got !== undefined);
    const before = due.map((got) => got.length);
    const rest = { sender: undefined, except: undefined, key: undefined };
    const { event } = this.feed.history.append({ channel, type: "message", data, ...rest });
    this.hub.deliver(event as EncodedEvent);
    for (const [i, got] of due.entries()) {
      expect(got.length).toBe((before[i] as number) + 1);
      expect(got.at(-1)).toBe(data);
    }
  }

  #check(): void {
    const live = this.#chairs.flatMap(({ live }) => [...live.keys()]);
    expect(this.hub.subscriptions).toBe(live.length);
    for (const channel of live) expect(this.feed.standing.has(channel), `hears ${channel}`).toBe(true);
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const one of steps) {
      await this.#take(one);
      if (one.do === "settle") this.#check();
    }
    this.feed.recover();
    await nextTick();
    expect(this.underWay).toBe(0);
    this.#check();
    const wanted = new Set(this.#chairs.flatMap(({ live }) => [...live.keys()]));
    expect(new Set(this.feed.standing)).toEqual(wanted);
    expect(this.hub.channels).toBe(wanted.size);
    for (const chair of this.#chairs) chair.end();
    expect([this.hub.channels, this.hub.subscriptions, this.feed.standing.size]).toEqual([0, 0, 0]);
  }

  async #take(one: Step): Promise<void> {
    const chair = "listener" in one ? (this.#chairs[one.listener] as Chair) : undefined;
    switch (one.do) {
      case "join":
        return chair?.join(one.channel);
      case "leave":
        return chair?.leave(one.channel);
      case "end":
        return chair?.end();
      case "revoke":
      case "grant":
        return chair?.allow(one.do === "grant");
      case "publish":
        return this.#publish(one.channel);
      case "resolve":
      case "reject":
        if (this.feed.pending.includes(one.channel)) this.feed[one.do](one.channel);
        return;
      case "settle":
        await nextTick();
    }
  }
}

it.each([
  ["that keep nothing", []],
  ["that keep their events", KEEPS_ALL],
])("keep to the model on channels %s, whatever happens in whatever order", async (_what, rules) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => new World(rules).run(steps)),
    { numRuns: 1_500 },
  );
});
