import { describe, expect, it } from "vitest";
import { MemoryHistory } from "../src/backplane/memory-history.ts";
import type { ContinuityCounts } from "../src/hub/context.ts";
import { type EncodedEvent, encode } from "../src/hub/encoded-event.ts";
import { Hub } from "../src/hub/hub.ts";
import { FakeFeed, KEEPS_ALL, NOBODY_COUNTS } from "./tools/feed.ts";
import { nextTick } from "./tools/turns.ts";

const RECENT_BYTES = 1024 * 1024;

/** A hub whose edge writes down what is broadcast, as the data of the events, and what is told. */
function hubOn(feed: FakeFeed): { hub: Hub; heard: string[] } {
  const heard: string[] = [];
  const edge = {
    broadcast: ({ channel, text }: EncodedEvent) => heard.push(`${channel}:${dataOf(text)}`),
    lost: (channel: string, _position: unknown, reason: string) => heard.push(`${channel} ${reason}`),
  };
  return { hub: new Hub(feed, [edge], RECENT_BYTES, noCounts(), NOBODY_COUNTS), heard };
}

function noCounts(): ContinuityCounts {
  return { holes: 0, historyReads: 0, continuityLost: { add: () => {} } };
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
    const { hub } = hubOn(feed);
    await hub.subscribe("x");
    await hub.subscribe("x");
    expect(feed.calls).toEqual(["+x"]);
    hub.unsubscribe("x");
    expect(feed.calls).toEqual(["+x"]);
    hub.unsubscribe("x");
    expect(feed.calls).toEqual(["+x", "-x"]);
  });

  it("of one channel have nothing to do with those of another", async () => {
    const feed = new FakeFeed();
    const { hub } = hubOn(feed);
    await hub.subscribe("x");
    await hub.subscribe("y");
    hub.unsubscribe("x");
    expect(feed.calls).toEqual(["+x", "+y", "-x"]);
  });

  it("leave no trace in the counts", async () => {
    const { hub } = hubOn(new FakeFeed());
    for (const name of ["x", "y"]) await Promise.all([hub.subscribe(name), hub.subscribe(name)]);
    expect([hub.channels, hub.subscriptions]).toEqual([2, 4]);
    for (const name of ["x", "x", "y", "y"]) hub.unsubscribe(name);
    expect([hub.channels, hub.subscriptions]).toEqual([0, 0]);
  });

  it("may leave without having come", () => {
    const feed = new FakeFeed();
    const { hub } = hubOn(feed);
    hub.unsubscribe("x");
    expect(feed.calls).toEqual([]);
    expect(hub.subscriptions).toBe(0);
  });

  it("share one copy of the name", async () => {
    const { hub } = hubOn(new FakeFeed());
    const [one, two] = await Promise.all([hub.subscribe("x"), hub.subscribe("x")]);
    expect(one?.name).toBe("x");
    expect(two).toBe(one);
  });
});

describe("a feed that is slow", () => {
  it("is asked once for all who wait for it, and they are answered in the order they came", async () => {
    const feed = new FakeFeed(false);
    const { hub } = hubOn(feed);
    const order: number[] = [];
    const joining = [1, 2, 3].map((n) => hub.subscribe("x").then(() => order.push(n)));
    expect(feed.calls).toEqual(["+x"]);
    expect(hub.subscriptions).toBe(0);
    feed.resolve("x");
    await Promise.all(joining);
    expect(order).toEqual([1, 2, 3]);
    expect(hub.subscriptions).toBe(3);
  });

  it("is not asked again for who comes between the unsubscribe of another and its own answer", async () => {
    const feed = new FakeFeed();
    const { hub, heard } = hubOn(feed);
    await hub.subscribe("x");
    const joining = hub.subscribe("x"); // joins while the first leaves
    hub.unsubscribe("x");
    await joining;
    expect(feed.calls).toEqual(["+x"]);
    hub.deliver(event("x", 1));
    expect(heard).toEqual(["x:1"]);
  });

  it("is asked anew, in order, by who comes right after the last one left", async () => {
    const feed = new FakeFeed(false);
    const { hub } = hubOn(feed);
    const first = hub.subscribe("x");
    feed.resolve("x");
    await first;
    hub.unsubscribe("x");
    const second = hub.subscribe("x");
    expect(feed.calls).toEqual(["+x", "-x", "+x"]);
    feed.resolve("x");
    await second;
    expect(hub.subscriptions).toBe(1);
  });
});

describe("a feed that fails", () => {
  it("fails all who wait for it and leaves nothing behind", async () => {
    const feed = new FakeFeed(false);
    const { hub } = hubOn(feed);
    const joining = [hub.subscribe("x"), hub.subscribe("x")];
    feed.reject("x");
    for (const one of await Promise.allSettled(joining)) {
      expect(one).toMatchObject({ status: "rejected", reason: { code: "backplane_unavailable" } });
    }
    expect(feed.calls).toEqual(["+x"]);
    expect([hub.channels, hub.subscriptions]).toEqual([0, 0]);
  });

  it("is asked anew by who comes next", async () => {
    const feed = new FakeFeed(false);
    const { hub, heard } = hubOn(feed);
    const failing = hub.subscribe("x");
    feed.reject("x");
    await expect(failing).rejects.toMatchObject({ code: "backplane_unavailable" });
    const second = hub.subscribe("x");
    feed.resolve("x");
    await second;
    hub.deliver(event("x", 1));
    expect(feed.calls).toEqual(["+x", "+x"]);
    expect(heard).toEqual(["x:1"]);
  });

  it("for one channel leaves the others alone", async () => {
    const feed = new FakeFeed(false);
    const { hub } = hubOn(feed);
    const [x, y] = [hub.subscribe("x"), hub.subscribe("y")];
    feed.reject("x");
    feed.resolve("y");
    await expect(x).rejects.toMatchObject({ code: "backplane_unavailable" });
    await y;
    expect([...feed.standing]).toEqual(["y"]);
    expect([hub.channels, hub.subscriptions]).toEqual([1, 1]);
  });
});

describe("an event", () => {
  it("is broadcast once, the very object, however many listen", async () => {
    const seen: EncodedEvent[] = [];
    const edge = { broadcast: (one: EncodedEvent) => seen.push(one), lost: () => {} };
    const hub = new Hub(new FakeFeed(), [edge], RECENT_BYTES, noCounts(), NOBODY_COUNTS);
    await hub.subscribe("x");
    await hub.subscribe("x");
    const published = event("x", 1);
    hub.deliver(published);
    expect(seen).toEqual([published]);
    expect(seen[0]).toBe(published);
  });

  it("of a channel that nobody listens to, or not any more, is not", async () => {
    const { hub, heard } = hubOn(new FakeFeed());
    hub.deliver(event("x", 1));
    await hub.subscribe("x");
    hub.unsubscribe("x");
    hub.deliver(event("x", 2));
    expect(heard).toEqual([]);
    expect(hub.channels).toBe(0);
  });

  it("that others keep is delivered all the same where this node keeps none", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    feed.keeps = () => undefined;
    const { hub, heard } = hubOn(feed);
    await hub.subscribe("x");
    for (const data of ["1", "2", "3"]) {
      const rest = { sender: undefined, except: undefined, key: undefined };
      const { event } = feed.history.append({ channel: "x", type: "message", data, ...rest });
      hub.deliver(event as EncodedEvent);
    }
    await nextTick();
    expect(heard).toEqual(["x:1", "x:2", "x:3"]);
  });
});

describe("a channel that its last listener leaves while its history is read", () => {
  const append = (feed: FakeFeed, data: number) => {
    const rest = { type: "message", sender: undefined, except: undefined, key: undefined };
    return feed.history.append({ channel: "x", data: String(data), ...rest }).event as EncodedEvent;
  };

  /** @returns lets the answers come */
  function holdPages(feed: FakeFeed): () => void {
    const read = feed.readAfter.bind(feed);
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    feed.readAfter = async (channel, offset, limit) => {
      const page = await read(channel, offset, limit);
      await released;
      return page;
    };
    return release;
  }

  it("delivers none of it to those who have come since", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    const { hub, heard } = hubOn(feed);
    await hub.subscribe("x");
    const release = holdPages(feed);
    append(feed, 1); // never arrives
    hub.deliver(append(feed, 2));
    hub.unsubscribe("x");
    await hub.subscribe("x");
    release();
    await nextTick();
    expect(heard).toEqual([]);
    expect(hub.recentBytes).toBe(0);
    hub.deliver(append(feed, 3));
    expect(heard).toEqual(["x:3"]);
  });

  it("tells them nothing", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    const { hub, heard } = hubOn(feed);
    await hub.subscribe("x");
    hub.deliver(append(feed, 1));
    Object.assign(feed, { history: new MemoryHistory(KEEPS_ALL) }); // Redis is empty
    const release = holdPages(feed);
    hub.deliver(append(feed, 1));
    hub.unsubscribe("x");
    await hub.subscribe("x");
    release();
    await nextTick();
    expect(heard).toEqual(["x:1"]);
  });
});
