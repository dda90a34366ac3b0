import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MemoryHistory } from "../src/backplane/memory-history.ts";
import type { EncodedEvent } from "../src/hub/encoded-event.ts";
import { Hub } from "../src/hub/hub.ts";
import { RequestError } from "../src/protocol/codes.ts";
import { FakeFeed, KEEPS_ALL, NOBODY_COUNTS } from "./tools/feed.ts";

/** The interval of the rounds, and how long what is on its way is waited for. */
const TICK_MS = 1_000;
const PATIENCE_MS = 1_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** A hub that goes its rounds; its edge writes down the data of what is broadcast, and why something is lost. */
async function hubOn(feed: FakeFeed, names: readonly string[]) {
  const heard: string[] = [];
  const edge = {
    broadcast: ({ text }: EncodedEvent) => {
      heard.push(String((JSON.parse(Buffer.from(text).toString()) as { data: unknown }).data));
    },
    lost: (channel: string, _position: unknown, reason: string) => heard.push(`${channel} ${reason}`),
  };
  const counts = { holes: 0, historyReads: 0, continuityLost: { add: () => {} } };
  const hub = new Hub(feed, [edge], 1024 * 1024, counts, NOBODY_COUNTS);
  await Promise.all(names.map((name) => hub.subscribe(name)));
  feed.reads.length = 0;
  hub.start();
  return { hub, heard, counts };
}

function namesOf(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `c${i}`);
}

/** Published, and not heard of by anybody so far. */
function append(feed: FakeFeed, data: number, channel = "x"): EncodedEvent {
  const rest = { type: "message", sender: undefined, except: undefined, key: undefined };
  return feed.history.append({ channel, data: String(data), ...rest }).event as EncodedEvent;
}

function headsAsked({ reads }: FakeFeed): string[] {
  return reads.filter((read) => read.startsWith("head ")).map((read) => read.slice("head ".length));
}

function seconds(count: number): Promise<unknown> {
  return vi.advanceTimersByTimeAsync(count * TICK_MS);
}

describe("the rounds of a node", () => {
  it.each([1, 9, 10, 11, 95, 1_000, 5_000])("ask each of %i channels in ten seconds", async (count) => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    await hubOn(feed, namesOf(count));
    for (let round = 0; round < 3; round++) {
      feed.reads.length = 0;
      await seconds(10);
      expect(new Set(headsAsked(feed)).size).toBe(count);
    }
  });

  it("ask again and again, and no channel much more often than another", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    await hubOn(feed, namesOf(30));
    await seconds(60);
    const times = new Map<string, number>();
    for (const name of headsAsked(feed)) times.set(name, (times.get(name) ?? 0) + 1);
    expect(times.size).toBe(30);
    expect(Math.min(...times.values())).toBeGreaterThanOrEqual(5);
    expect(Math.max(...times.values())).toBeLessThanOrEqual(6);
  });

  it("ask five hundred a second at most, and take longer where there are more", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    await hubOn(feed, namesOf(7_000));
    for (let second = 1; second <= 14; second++) {
      await seconds(1);
      expect(feed.reads).toHaveLength(second * 500);
    }
    expect(new Set(headsAsked(feed)).size).toBe(7_000);
  });

  it("ask nothing of channels that keep no history", async () => {
    const feed = new FakeFeed();
    await hubOn(feed, namesOf(20));
    await seconds(30);
    expect(feed.reads).toEqual([]);
  });

  it("ask those that came since, and not those that went", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    const { hub } = await hubOn(feed, namesOf(20));
    await seconds(3);
    for (const name of namesOf(10)) hub.unsubscribe(name);
    await hub.subscribe("new");
    feed.reads.length = 0;
    await seconds(15);
    const kept = namesOf(20).slice(10);
    expect(new Set(headsAsked(feed))).toEqual(new Set([...kept, "new"]));
  });

  it("come back to those that stay, however many others come and go", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    const { hub } = await hubOn(feed, ["stays", ...namesOf(100)]);
    const asked: string[] = [];
    for (let second = 0; second < 40; second++) {
      for (let i = 0; i < 10; i++) {
        hub.unsubscribe(`c${second * 10 + i}`);
        await hub.subscribe(`c${100 + second * 10 + i}`);
      }
      feed.reads.length = 0;
      await seconds(1);
      asked.push(...headsAsked(feed));
    }
    expect(asked.filter((name) => name === "stays").length).toBeGreaterThanOrEqual(3);
  });

  it("end with the node", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    const { hub } = await hubOn(feed, namesOf(20));
    hub.stop();
    await seconds(30);
    expect(feed.reads).toEqual([]);
  });
});

describe("an event that the rounds hear of", () => {
  it("and nobody brings is read", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    const { heard, counts } = await hubOn(feed, ["x"]);
    append(feed, 1);
    append(feed, 2);
    await vi.advanceTimersByTimeAsync(TICK_MS + PATIENCE_MS - 1);
    expect(heard).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(heard).toEqual(["1", "2"]);
    expect(counts).toMatchObject({ holes: 1, historyReads: 1 });
    await seconds(30);
    expect(heard).toEqual(["1", "2"]);
    expect(counts).toMatchObject({ holes: 1, historyReads: 1 });
  });

  it("is not read when it was on its way", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    const { hub, heard, counts } = await hubOn(feed, ["x"]);
    const late = append(feed, 1);
    await vi.advanceTimersByTimeAsync(TICK_MS + PATIENCE_MS - 1);
    expect(headsAsked(feed)).toEqual(["x"]);
    hub.deliver(late);
    await seconds(10);
    expect(heard).toEqual(["1"]);
    expect(counts).toMatchObject({ holes: 0, historyReads: 0 });
  });

  it("is delivered once, though it comes when it was read", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    const { hub, heard } = await hubOn(feed, ["x"]);
    const late = append(feed, 1);
    await seconds(3);
    hub.deliver(late);
    hub.deliver(append(feed, 2));
    expect(heard).toEqual(["1", "2"]);
  });

  it("is read later when the history cannot be asked now, and nothing is told meanwhile", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    const { heard, counts } = await hubOn(feed, ["x"]);
    append(feed, 1);
    feed.failure = new RequestError("backplane_unavailable");
    await seconds(30);
    expect(headsAsked(feed).length).toBeGreaterThan(10);
    expect(heard).toEqual([]);
    expect(counts).toMatchObject({ holes: 0, historyReads: 0 });
    feed.failure = undefined;
    await seconds(4);
    expect(heard).toEqual(["1"]);
  });

  it("is nobody's business any more when the last listener left meanwhile", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    const { hub, heard, counts } = await hubOn(feed, ["x"]);
    append(feed, 1);
    await seconds(1);
    hub.unsubscribe("x");
    await seconds(10);
    expect(heard).toEqual([]);
    expect(counts).toMatchObject({ holes: 0, historyReads: 0 });
  });
});

describe("a history that the rounds find", () => {
  it("behind where this node is was forked: that is told at once", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    const { hub, heard } = await hubOn(feed, ["x"]);
    hub.deliver(append(feed, 1));
    const earlier = feed.history.head("x");
    hub.deliver(append(feed, 2));
    vi.spyOn(feed, "head").mockImplementation(async () => earlier);
    vi.spyOn(feed, "readAfter").mockImplementation(async () => ({ head: earlier, events: [] }));
    await vi.advanceTimersByTimeAsync(TICK_MS); // nothing is on its way
    expect(heard).toEqual(["1", "2", "x forked"]);
  });

  it("begun anew has lost what was: that is told at once, and the new ones come", async () => {
    const feed = new FakeFeed(true, KEEPS_ALL);
    const { hub, heard } = await hubOn(feed, ["x"]);
    hub.deliver(append(feed, 1));
    Object.assign(feed, { history: new MemoryHistory(KEEPS_ALL) });
    await vi.advanceTimersByTimeAsync(TICK_MS);
    expect(heard).toEqual(["1", "x history_lost"]);
    append(feed, 2);
    await seconds(4);
    expect(heard).toEqual(["1", "x history_lost", "2"]);
  });
});
