import { describe, expect, it } from "vitest";
import { type EncodedEvent, encode } from "../src/hub/encoded-event.ts";
import { Hub, type Subscriber } from "../src/hub/hub.ts";
import { FakeFeed } from "./tools/feed.ts";
import { nextTick } from "./tools/turns.ts";

/** Writes down what happens to it, in order. */
class Listener implements Subscriber {
  /** A list for each `deliver`. */
  readonly writes: string[][] = [];
  readonly heard: string[] = [];
  outbox: Subscriber["outbox"];

  deliver(events: readonly EncodedEvent[]): void {
    const names = events.map(({ channel, text }) => `${channel}:${dataOf(text)}`);
    this.writes.push(names);
    this.heard.push(...names);
  }

  interrupted(channels: readonly string[]): void {
    this.heard.push(`interrupted ${channels.join(" ")}`);
  }

  /** Subscribes like a session that lives. */
  subscribe(hub: Hub, channel: string): Promise<void> {
    return hub.subscribe(channel, this, (name) => {
      this.heard.push(`subscribed ${name}`);
      return true;
    });
  }
}

function dataOf(text: Uint8Array): string {
  return String((JSON.parse(Buffer.from(text).toString()) as { data: unknown }).data);
}

function event(channel: string, data: number): EncodedEvent {
  return encode({ type: "message", channel, timestamp: "2026-03-08T14:30:00Z" }, String(data));
}

describe("the first and the last listener", () => {
  it("subscribe the node and take it back; those between change nothing", async () => {
    const feed = new FakeFeed();
    const hub = new Hub(feed);
    const [a, b] = [new Listener(), new Listener()];
    await a.subscribe(hub, "x");
    await b.subscribe(hub, "x");
    expect(feed.calls).toEqual(["+x"]);
    hub.unsubscribe("x", a);
    expect(feed.calls).toEqual(["+x"]);
    hub.unsubscribe("x", b);
    expect(feed.calls).toEqual(["+x", "-x"]);
  });

  it("of one channel have nothing to do with those of another", async () => {
    const feed = new FakeFeed();
    const hub = new Hub(feed);
    const a = new Listener();
    await a.subscribe(hub, "x");
    await a.subscribe(hub, "y");
    hub.unsubscribe("x", a);
    expect(feed.calls).toEqual(["+x", "+y", "-x"]);
  });

  it("leave no trace in the counts", async () => {
    const hub = new Hub(new FakeFeed());
    const [a, b] = [new Listener(), new Listener()];
    for (const name of ["x", "y"]) await Promise.all([a.subscribe(hub, name), b.subscribe(hub, name)]);
    expect([hub.channels, hub.subscriptions]).toEqual([2, 4]);
    for (const name of ["x", "y"]) for (const one of [a, b]) hub.unsubscribe(name, one);
    expect([hub.channels, hub.subscriptions]).toEqual([0, 0]);
  });

  it("may leave without having come", () => {
    const feed = new FakeFeed();
    const hub = new Hub(feed);
    hub.unsubscribe("x", new Listener());
    expect(feed.calls).toEqual([]);
    expect(hub.subscriptions).toBe(0);
  });
});

describe("a feed that is slow", () => {
  it("is asked once for all who wait for it, and confirms them in the order they came", async () => {
    const feed = new FakeFeed(false);
    const hub = new Hub(feed);
    const order: string[] = [];
    const joining = ["a", "b", "c"].map((name) =>
      hub.subscribe("x", new Listener(), () => {
        order.push(name);
        return true;
      }),
    );
    expect(feed.calls).toEqual(["+x"]);
    feed.resolve("x");
    await Promise.all(joining);
    expect(order).toEqual(["a", "b", "c"]);
  });

  it("confirms nobody early, and events that come meanwhile are for nobody", async () => {
    const feed = new FakeFeed(false);
    const hub = new Hub(feed);
    const a = new Listener();
    const joining = a.subscribe(hub, "x");
    hub.deliver(event("x", 1));
    await nextTick();
    hub.deliver(event("x", 2));
    expect(a.heard).toEqual([]);
    feed.resolve("x");
    await joining;
    hub.deliver(event("x", 3));
    await nextTick();
    expect(a.heard).toEqual(["subscribed x", "x:3"]);
  });

  it("is given back when the session has ended while it joined", async () => {
    const feed = new FakeFeed(false);
    const hub = new Hub(feed);
    const joining = hub.subscribe("x", new Listener(), () => false);
    feed.resolve("x");
    await joining;
    expect(feed.calls).toEqual(["+x", "-x"]);
    expect([hub.channels, hub.subscriptions]).toEqual([0, 0]);
  });

  it("stays for the others when one session has ended while it joined", async () => {
    const feed = new FakeFeed(false);
    const hub = new Hub(feed);
    const b = new Listener();
    const joining = [hub.subscribe("x", new Listener(), () => false), b.subscribe(hub, "x")];
    feed.resolve("x");
    await Promise.all(joining);
    expect(feed.calls).toEqual(["+x"]);
    hub.deliver(event("x", 1));
    await nextTick();
    expect(b.heard).toEqual(["subscribed x", "x:1"]);
  });

  it("is not asked again for who comes between the unsubscribe of another and its own answer", async () => {
    const feed = new FakeFeed();
    const hub = new Hub(feed);
    const [a, b] = [new Listener(), new Listener()];
    await a.subscribe(hub, "x");
    const joining = b.subscribe(hub, "x"); // joins while a leaves
    hub.unsubscribe("x", a);
    await joining;
    expect(feed.calls).toEqual(["+x"]);
    hub.deliver(event("x", 1));
    await nextTick();
    expect(b.heard).toEqual(["subscribed x", "x:1"]);
    expect(a.heard).toEqual(["subscribed x"]);
  });

  it("is asked anew, in order, by who comes right after the last one left", async () => {
    const feed = new FakeFeed(false);
    const hub = new Hub(feed);
    const [a, b] = [new Listener(), new Listener()];
    const first = a.subscribe(hub, "x");
    feed.resolve("x");
    await first;
    hub.unsubscribe("x", a);
    const second = b.subscribe(hub, "x");
    expect(feed.calls).toEqual(["+x", "-x", "+x"]);
    hub.deliver(event("x", 1)); // of the old subscription, on its way
    feed.resolve("x");
    await second;
    hub.deliver(event("x", 2));
    await nextTick();
    expect(a.heard).toEqual(["subscribed x"]);
    expect(b.heard).toEqual(["subscribed x", "x:2"]);
  });
});

describe("a feed that fails", () => {
  it("fails all who wait for it and leaves nothing behind", async () => {
    const feed = new FakeFeed(false);
    const hub = new Hub(feed);
    const [a, b] = [new Listener(), new Listener()];
    const joining = [a.subscribe(hub, "x"), b.subscribe(hub, "x")];
    feed.reject("x");
    for (const one of await Promise.allSettled(joining)) {
      expect(one).toMatchObject({ status: "rejected", reason: { code: "backplane_unavailable" } });
    }
    expect(feed.calls).toEqual(["+x"]);
    expect([hub.channels, hub.subscriptions]).toEqual([0, 0]);
    expect([...a.heard, ...b.heard]).toEqual([]);
  });

  it("is asked anew by who comes next", async () => {
    const feed = new FakeFeed(false);
    const hub = new Hub(feed);
    const a = new Listener();
    const failing = a.subscribe(hub, "x");
    feed.reject("x");
    await expect(failing).rejects.toMatchObject({ code: "backplane_unavailable" });
    const second = a.subscribe(hub, "x");
    feed.resolve("x");
    await second;
    hub.deliver(event("x", 1));
    await nextTick();
    expect(feed.calls).toEqual(["+x", "+x"]);
    expect(a.heard).toEqual(["subscribed x", "x:1"]);
  });

  it("for one channel leaves the others alone", async () => {
    const feed = new FakeFeed(false);
    const hub = new Hub(feed);
    const a = new Listener();
    const [x, y] = [a.subscribe(hub, "x"), a.subscribe(hub, "y")];
    feed.reject("x");
    feed.resolve("y");
    await expect(x).rejects.toMatchObject({ code: "backplane_unavailable" });
    await y;
    expect(a.heard).toEqual(["subscribed y"]);
    expect([...feed.standing]).toEqual(["y"]);
  });
});

describe("delivery", () => {
  it("writes once to each subscriber for all events of a tick, in their order", async () => {
    const hub = new Hub(new FakeFeed());
    const [a, b] = [new Listener(), new Listener()];
    await Promise.all([a.subscribe(hub, "x"), b.subscribe(hub, "x")]);
    for (const data of [1, 2, 3]) hub.deliver(event("x", data));
    await nextTick();
    hub.deliver(event("x", 4));
    await nextTick();
    for (const one of [a, b]) expect(one.writes).toEqual([["x:1", "x:2", "x:3"], ["x:4"]]);
    expect(hub.flushes).toBe(2);
  });

  it("writes once even when the events are of several channels, each channel in its order", async () => {
    const hub = new Hub(new FakeFeed());
    const [onlyX, both, onlyY] = [new Listener(), new Listener(), new Listener()];
    await onlyX.subscribe(hub, "x");
    for (const name of ["x", "y", "z"]) await both.subscribe(hub, name);
    await onlyY.subscribe(hub, "y");
    for (let data = 1; data <= 6; data++) hub.deliver(event(data % 2 ? "x" : "y", data));
    await nextTick();
    expect(both.writes).toHaveLength(1);
    expect(both.writes[0]?.filter((name) => name.startsWith("x"))).toEqual(["x:1", "x:3", "x:5"]);
    expect(both.writes[0]?.filter((name) => name.startsWith("y"))).toEqual(["y:2", "y:4", "y:6"]);
    expect(onlyX.writes).toEqual([["x:1", "x:3", "x:5"]]);
    expect(onlyY.writes).toEqual([["y:2", "y:4", "y:6"]]);
    expect(hub.flushes).toBe(1);
  });

  it("gives all subscribers the very same bytes", async () => {
    const hub = new Hub(new FakeFeed());
    const seen: Uint8Array[] = [];
    for (let i = 0; i < 3; i++) {
      const subscriber: Subscriber = {
        deliver: (events) => void seen.push(...events.map(({ text }) => text)),
        interrupted: () => {},
        outbox: undefined,
      };
      await hub.subscribe("x", subscriber, () => true);
    }
    const published = event("x", 1);
    hub.deliver(published);
    await nextTick();
    expect(seen).toHaveLength(3);
    for (const text of seen) expect(text).toBe(published.text);
  });

  it("gives a newcomer no event from before its confirmation, and the others lose none by it", async () => {
    const hub = new Hub(new FakeFeed());
    const [a, b] = [new Listener(), new Listener()];
    await a.subscribe(hub, "x");
    hub.deliver(event("x", 1));
    const joining = b.subscribe(hub, "x");
    hub.deliver(event("x", 2));
    await joining;
    hub.deliver(event("x", 3));
    await nextTick();
    expect(b.heard).toEqual(["subscribed x", "x:3"]);
    expect(a.heard).toEqual(["subscribed x", "x:1", "x:2", "x:3"]);
  });

  it("writes nothing at the end of a tick for events that went out before it", async () => {
    const hub = new Hub(new FakeFeed());
    const [a, b, newcomer] = [new Listener(), new Listener(), new Listener()];
    await a.subscribe(hub, "x");
    await b.subscribe(hub, "y");
    hub.deliver(event("x", 1));
    hub.deliver(event("y", 2));
    await newcomer.subscribe(hub, "x"); // x goes out for the others first
    expect(a.writes).toEqual([["x:1"]]);
    await nextTick();
    expect(a.writes).toEqual([["x:1"]]);
    expect(b.writes).toEqual([["y:2"]]);
    expect(newcomer.writes).toEqual([]);
  });

  it("ends with the unsubscribe, also for events of the same tick", async () => {
    const hub = new Hub(new FakeFeed());
    const [a, b] = [new Listener(), new Listener()];
    for (const name of ["x", "y"]) await Promise.all([a.subscribe(hub, name), b.subscribe(hub, name)]);
    hub.deliver(event("x", 1));
    hub.deliver(event("y", 2));
    hub.unsubscribe("x", a);
    await nextTick();
    hub.deliver(event("x", 3));
    await nextTick();
    expect(a.heard).toEqual(["subscribed x", "subscribed y", "y:2"]);
    expect(b.heard).toEqual(["subscribed x", "subscribed y", "x:1", "y:2", "x:3"]);
  });

  it("is none for a channel that nobody listens to", async () => {
    const hub = new Hub(new FakeFeed());
    hub.deliver(event("x", 1));
    await nextTick();
    expect([hub.channels, hub.flushes]).toEqual([0, 0]);
  });

  it("reaches the others when a subscriber leaves in the middle of it", async () => {
    const hub = new Hub(new FakeFeed());
    const c = new Listener();
    const leaving: Subscriber = {
      deliver: () => hub.unsubscribe("x", leaving),
      interrupted: () => {},
      outbox: undefined,
    };
    await hub.subscribe("x", leaving, () => true);
    await c.subscribe(hub, "x");
    for (const data of [1, 2]) {
      hub.deliver(event("x", data));
      await nextTick();
    }
    expect(c.heard).toEqual(["subscribed x", "x:1", "x:2"]);
    expect(hub.subscriptions).toBe(1);
  });
});

describe("an interruption", () => {
  it("is told to every subscriber once, with all its channels, and the stream goes on", async () => {
    const hub = new Hub(new FakeFeed());
    const [a, b] = [new Listener(), new Listener()];
    await a.subscribe(hub, "x");
    await a.subscribe(hub, "y");
    await b.subscribe(hub, "y");
    hub.interrupted();
    hub.deliver(event("y", 1));
    await nextTick();
    expect(a.heard).toEqual(["subscribed x", "subscribed y", "interrupted x y", "y:1"]);
    expect(b.heard).toEqual(["subscribed y", "interrupted y", "y:1"]);
  });

  it("is told to a crowd in slices, to the last one", async () => {
    const hub = new Hub(new FakeFeed());
    const crowd = Array.from({ length: 1_001 }, () => new Listener());
    await Promise.all(crowd.map((one) => one.subscribe(hub, "x")));
    const told = () => crowd.filter(({ heard }) => heard.includes("interrupted x")).length;
    hub.interrupted();
    expect(told()).toBeLessThan(1_001);
    await expect.poll(told).toBe(1_001);
    expect(crowd.every(({ heard }) => heard.length === 2)).toBe(true);
  });

  it("is not told to who has not been confirmed yet", async () => {
    const feed = new FakeFeed(false);
    const hub = new Hub(feed);
    const a = new Listener();
    const joining = a.subscribe(hub, "x");
    hub.interrupted();
    feed.resolve("x");
    await joining;
    await nextTick();
    expect(a.heard).toEqual(["subscribed x"]);
  });
});
