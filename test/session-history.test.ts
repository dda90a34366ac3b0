import { describe, expect, it } from "vitest";
import { RequestError } from "../src/protocol/codes.ts";
import { type Frame, Node, type Talker } from "./tools/conversation.ts";
import { FakeFeed, KEEPS_ALL } from "./tools/feed.ts";

const ALL = { "*": ["subscribe", "publish", "history"] };
const FEW = [{ pattern: "*", size: 5, timeMs: 600_000 }];

function keeping(rules = KEEPS_ALL, answersAtOnce = true): Node {
  return new Node({ commandRate: 0, maxChannels: 0 }, new FakeFeed(answersAtOnce, rules));
}

/** A node, and the ids of so many events that were published there, whose data are 1, 2, 3 and so on. */
async function published(count: number, node = keeping()): Promise<{ node: Node; ids: string[] }> {
  const publisher = node.as("bob", ALL);
  const [start] = await publisher
    .ask({ type: "history", channel: "x", ref: 0 })
    .then((frames) => frames.slice(-1));
  const numbers = Array.from({ length: count }, (_, i) => i + 1);
  const commands = numbers.map((data) => ({ type: "publish", channel: "x", data, ref: data }));
  const answers = await publisher.ask(...commands);
  return { node, ids: [start?.id as string, ...answers.map(({ id }) => id as string)] };
}

/** Beside `subscribed`: what came, as data. */
function brief(frames: readonly Frame[]): unknown[] {
  return frames.map((frame) => (frame.type === "message" ? frame.data : frame));
}

async function connected(node: Node, user = "ann"): Promise<Talker> {
  const client = node.as(user, ALL);
  await client.frames();
  return client;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

describe("subscribe", () => {
  it("says where the channel is; so does the second one", async () => {
    const { node, ids } = await published(3);
    const client = await connected(node);
    const answer = { type: "subscribed", channel: "x", id: ids[3], ref: 1 };
    const subscribe = { type: "subscribe", channel: "x", ref: 1 };
    expect(await client.ask(subscribe)).toEqual([answer]);
    expect(await client.ask(subscribe)).toEqual([answer]);
    expect(await client.ask({ ...subscribe, channel: "new" })).toEqual([
      { ...answer, channel: "new", id: expect.stringMatching(/:0$/) },
    ]);
    expect(node.resumes).toEqual([]);
  });

  it("with `since` gives what was missed, all of it, none twice, and then what comes", async () => {
    const { node, ids } = await published(250);
    for (const [offset, since] of ids.entries()) {
      if (offset % 50 !== 0 && offset < 248) continue;
      const client = await connected(node);
      const [first, ...rest] = await client.ask({ type: "subscribe", channel: "x", since, ref: 1 });
      const missed = 250 - offset;
      expect(first).toEqual({
        type: "subscribed",
        channel: "x",
        id: ids[250],
        resumed: true,
        missed,
        ref: 1,
      });
      expect(brief(rest), `since ${offset}`).toEqual(range(offset + 1, 250));
      client.connection.hangUp();
    }
    const live = await connected(node);
    const answers = await live.ask(
      { type: "subscribe", channel: "x", since: ids[249] },
      { type: "publish", channel: "x", data: "live" },
    );
    expect(brief(answers)).toEqual([250, "live"]);
  });

  it("with `last` gives as many as there are", async () => {
    const { node, ids } = await published(30);
    for (const last of [1, 7, 30, 31, 1_000]) {
      const client = await connected(node);
      const [first, ...rest] = await client.ask({ type: "subscribe", channel: "x", last, ref: 1 });
      const missed = Math.min(last, 30);
      expect(first).toMatchObject({ type: "subscribed", id: ids[30], resumed: true, missed });
      expect(brief(rest), `last ${last}`).toEqual(range(31 - missed, 30));
      client.connection.hangUp();
    }
    const client = await connected(node);
    expect(await client.ask({ type: "subscribe", channel: "empty", last: 5, ref: 1 })).toMatchObject([
      { type: "subscribed", id: expect.stringMatching(/:0$/), resumed: true, missed: 0 },
    ]);
  });

  it("gives nothing where not all can be had, and says why and from where on it goes on", async () => {
    const { node, ids } = await published(12, keeping(FEW));
    const [epoch] = (ids[12] as string).split("-") as [string];
    const cases = {
      trimmed: [ids[0], ids[6]],
      forked: [
        `${epoch}-ffffffff:9`,
        `${epoch}-ffffffff:12`,
        `${ids[12]}0`,
        `${epoch}-ffffffff:9007199254740991`,
      ],
      history_lost: ["0123456789abcdef-00000000:12", "another:1", "e-c:0", `${"e".repeat(128)}:5`],
    };
    for (const [reason, sinces] of Object.entries(cases)) {
      for (const since of sinces) {
        const client = await connected(node);
        const answers = await client.ask(
          { type: "subscribe", channel: "x", since, ref: 1 },
          { type: "publish", channel: "y", data: "between" },
        );
        expect(answers, `${reason}: ${since}`).toEqual([
          { type: "subscribed", channel: "x", id: ids[12], resumed: false, reason, ref: 1 },
        ]);
        client.connection.hangUp();
      }
    }
    expect(node.resumes.sort()).toEqual(
      Object.entries(cases)
        .flatMap(([reason, of]) => of.map(() => reason))
        .sort(),
    );
    const client = await connected(node);
    expect(await client.ask({ type: "subscribe", channel: "x", since: ids[7], ref: 1 })).toHaveLength(6);
    expect(node.resumes.at(-1)).toBe("resumed");
  });

  it("says that a channel keeps no history, and that one is subscribed already", async () => {
    const none = await connected(new Node());
    for (const start of [{ since: "e-c:1" }, { last: 5 }]) {
      expect(await none.ask({ type: "subscribe", channel: "x", ...start, ref: 1 })).toEqual([
        {
          type: "subscribed",
          channel: "x",
          resumed: false,
          reason: start.last ? "subscribed" : "no_history",
          ref: 1,
        },
      ]);
    }
    const { node, ids } = await published(3);
    const client = await connected(node);
    await client.ask({ type: "subscribe", channel: "x" });
    for (const start of [{ since: ids[1] }, { last: 5 }]) {
      expect(await client.ask({ type: "subscribe", channel: "x", ...start, ref: 1 })).toEqual([
        { type: "subscribed", channel: "x", id: ids[3], resumed: false, reason: "subscribed", ref: 1 },
      ]);
    }
  });

  it("that cannot read the history is a temporary error, and leaves nothing behind", async () => {
    const { node, ids } = await published(3, keeping(FEW));
    for (const start of [{}, { since: ids[1] }, { last: 5 }]) {
      node.feed.failure = new RequestError("backplane_unavailable");
      const client = await connected(node);
      expect(await client.ask({ type: "subscribe", channel: "x", ...start, ref: 1 })).toMatchObject([
        { type: "error", code: "backplane_unavailable", channel: "x", temporary: true, ref: 1 },
      ]);
      expect([node.hub.subscriptions, node.hub.channels, node.feed.standing.size]).toEqual([0, 0, 0]);
      node.feed.failure = undefined;
      expect(await client.ask({ type: "subscribe", channel: "x", ...start, ref: 2 })).toMatchObject([
        { type: "subscribed", ref: 2 },
        ...("since" in start ? [{ data: 2 }, { data: 3 }] : []),
        ...("last" in start ? [{ data: 1 }, { data: 2 }, { data: 3 }] : []),
      ]);
      client.connection.hangUp();
    }
  });

  it("needs no grant but its own", async () => {
    const { node, ids } = await published(3);
    const client = node.as("ann", { x: ["subscribe"] });
    await client.frames();
    expect(await client.ask({ type: "subscribe", channel: "x", since: ids[0], ref: 1 })).toHaveLength(4);
    expect(await client.ask({ type: "history", channel: "x", ref: 2 })).toMatchObject([
      { type: "error", code: "forbidden", message: "nothing allows history on x", ref: 2 },
    ]);
  });

  it("of many who come back at once reads the history once", async () => {
    const { node, ids } = await published(50);
    const before = node.feed.reads.length;
    const crowd = await Promise.all(Array.from({ length: 40 }, (_, i) => connected(node, `u${i}`)));
    for (const client of crowd) client.send({ type: "subscribe", channel: "x", since: ids[10], ref: 1 });
    for (const client of crowd) expect(brief((await client.frames()).slice(1))).toEqual(range(11, 50));
    expect(node.feed.reads.slice(before)).toEqual(["head x", "after x"]);
  });
});

describe("a replay", () => {
  it("waits for a client that does not take what it is sent, loses nothing, and holds up nobody", async () => {
    const { node, ids } = await published(450);
    const [slow, quick] = [await connected(node), await connected(node)];
    slow.connection.queuedBytes = 1_000_000;
    slow.send({ type: "subscribe", channel: "x", since: ids[0], ref: 1 });
    expect(await slow.frames()).toHaveLength(1);
    await quick.ask({ type: "subscribe", channel: "x" });
    expect(brief(await quick.ask({ type: "publish", channel: "x", data: 451 }))).toEqual([451]);
    expect(await slow.frames(), "it has not taken anything yet").toEqual([]);
    slow.connection.drain();
    expect(brief(await slow.frames())).toEqual(range(1, 451));
    expect(brief(await quick.ask({ type: "publish", channel: "x", data: 452 }))).toEqual([452]);
    expect(brief(await slow.frames())).toEqual([452]);
  });

  it("ends with the subscription, and with the connection", async () => {
    const { node, ids } = await published(250);
    const [leaving, gone] = [await connected(node), await connected(node)];
    for (const client of [leaving, gone]) {
      client.connection.queuedBytes = 1_000_000;
      client.send({ type: "subscribe", channel: "x", since: ids[0], ref: 1 });
      expect(await client.frames()).toHaveLength(1);
    }
    expect(await leaving.ask({ type: "unsubscribe", channel: "x", ref: 2 })).toMatchObject([{ ref: 2 }]);
    gone.connection.hangUp();
    for (const client of [leaving, gone]) {
      client.connection.drain();
      expect(await client.frames()).toEqual([]);
      expect(client.connection.late).toEqual([]);
    }
    expect(node.hub.subscriptions).toBe(0);
  });

  it("leaves out what the connection asked not to hear", async () => {
    const { node, ids } = await published(1);
    const client = await connected(node);
    await client.ask(
      { type: "publish", channel: "x", data: "mine", echo: false },
      { type: "publish", channel: "x", data: "echoed" },
    );
    const [first, ...rest] = await client.ask({ type: "subscribe", channel: "x", since: ids[0], ref: 1 });
    expect(first).toMatchObject({ resumed: true, missed: 3 });
    expect(brief(rest)).toEqual([1, "echoed"]);
  });
});

describe("history", () => {
  it("is part of what is kept, oldest first, with whether there is more in that direction", async () => {
    const { node, ids } = await published(12);
    const client = await connected(node);
    const ask = async (query: object) => {
      const [answer] = await client.ask({ type: "history", channel: "x", ref: 1, ...query });
      const { events, more, ...rest } = answer as { events: Frame[]; more: boolean };
      expect(rest).toEqual({ type: "history", ref: 1, channel: "x", id: ids[12] });
      for (const event of events)
        expect(event).toMatchObject({ type: "message", channel: "x", sender: "bob" });
      expect(events.map(({ id }) => id)).toEqual(events.map(({ data }) => ids[data as number]));
      return [events.map(({ data }) => data), more];
    };
    expect(await ask({})).toEqual([range(1, 12), false]);
    expect(await ask({ limit: 12 })).toEqual([range(1, 12), false]);
    expect(await ask({ limit: 11 })).toEqual([range(2, 12), true]);
    expect(await ask({ since: ids[0], limit: 5 })).toEqual([range(1, 5), true]);
    expect(await ask({ since: ids[5], limit: 7 })).toEqual([range(6, 12), false]);
    expect(await ask({ since: ids[12] })).toEqual([[], false]);
    expect(await ask({ before: ids[6], limit: 2 })).toEqual([[4, 5], true]);
    expect(await ask({ before: ids[6], limit: 5 })).toEqual([[1, 2, 3, 4, 5], false]);
    expect(await ask({ before: ids[1] })).toEqual([[], false]);
    expect(await ask({ before: ids[0] })).toEqual([[], false]);
  });

  it("says that there is more also behind the largest answer", async () => {
    const { node, ids } = await published(1_001, keeping([{ pattern: "*", size: 2_000, timeMs: 600_000 }]));
    const client = await connected(node);
    for (const query of [{}, { since: ids[0] }]) {
      const [answer] = await client.ask({ type: "history", channel: "x", limit: 1_000, ref: 1, ...query });
      expect(answer?.events).toHaveLength(1_000);
      expect(answer?.more).toBe(true);
    }
  });

  it("is no larger than an answer may be, and at least one event", async () => {
    const node = keeping();
    const client = await connected(node);
    const large = { type: "publish", channel: "x", data: "x".repeat(100_000) };
    const [start] = await client.ask({ type: "history", channel: "x", ref: 0 });
    await client.ask(large, large, large, large, { ...large, data: "x".repeat(300_000) });
    const ask = async (query: object) => {
      const [answer] = await client.ask({ type: "history", channel: "x", ref: 1, ...query });
      const { events, more } = answer as { events: Frame[]; more: boolean };
      return [events.map(({ data }) => String(data).length), more];
    };
    expect(await ask({})).toEqual([[300_000], true]);
    expect(await ask({ since: start?.id })).toEqual([[100_000, 100_000], true]);
  });

  it("that is gone, or was never there, says so", async () => {
    const { node, ids } = await published(12, keeping(FEW));
    const client = await connected(node);
    const gone = { type: "error", code: "history_gone", channel: "x", temporary: false, ref: 1 };
    for (const query of [
      { since: ids[6] },
      { since: "another:1" },
      { since: `${ids[12]}0` },
      { since: (ids[12] as string).replace(/-.{8}/, "-ffffffff") },
      { before: "another:1" },
    ])
      expect(await client.ask({ type: "history", channel: "x", ref: 1, ...query })).toMatchObject([gone]);
    const none = await connected(new Node());
    expect(await none.ask({ type: "history", channel: "x", ref: 1 })).toMatchObject([
      { type: "error", code: "not_supported", channel: "x", ref: 1 },
    ]);
  });

  it("is not answered without a ref, and its error is", async () => {
    const { node } = await published(1);
    const client = await connected(node);
    expect(await client.ask({ type: "history", channel: "x" })).toEqual([]);
    node.feed.failure = new RequestError("backplane_unavailable");
    expect(await client.ask({ type: "history", channel: "x" })).toMatchObject([
      { type: "error", code: "backplane_unavailable", channel: "x", temporary: true },
    ]);
  });

  it("comes behind what was published before it on the connection", async () => {
    const client = await connected(keeping());
    const frames = await client.ask(
      { type: "publish", channel: "x", data: 1 },
      { type: "history", channel: "x", ref: 1 },
      { type: "publish", channel: "x", data: 2 },
    );
    expect(frames).toMatchObject([{ type: "history", events: [{ data: 1 }] }]);
  });
});

describe("publish", () => {
  it("answers with the id that the event has", async () => {
    const client = await connected(keeping());
    await client.ask({ type: "subscribe", channel: "x" });
    const [event, answer] = await client.ask({ type: "publish", channel: "x", data: 1, ref: 1 });
    expect(answer).toEqual({ type: "published", ref: 1, channel: "x", id: event?.id, listeners: 1 });
    expect(event?.id).toMatch(/^[0-9a-f]{16}-[0-9a-f]{8}:1$/);
  });

  it("with a key is heard once, whichever form it has, from whichever connection of the user", async () => {
    const node = keeping();
    const [client, twin, other] = [
      await connected(node),
      await connected(node),
      await connected(node, "carl"),
    ];
    await client.ask({ type: "subscribe", channel: "x" });
    const publish = { type: "publish", channel: "x", data: { text: "hi" }, key: "k", ref: 1 };
    const [event, first] = await client.ask(publish);
    expect(first).toMatchObject({ type: "published", id: event?.id, listeners: 1 });
    expect(first).not.toHaveProperty("repeated");
    const repeated = { ...first, listeners: 0, repeated: true };
    expect(await twin.ask(publish)).toEqual([repeated]);
    expect(await twin.ask({ type: "message", channel: "x", text: "hi", key: "k", ref: 1 })).toEqual([
      repeated,
    ]);
    expect(await client.frames()).toEqual([]);
    expect(await client.ask({ ...publish, data: 2 })).toMatchObject([
      { type: "error", code: "key_reused", channel: "x", temporary: false, ref: 1 },
    ]);
    expect(await other.ask(publish), "the key of another user").toMatchObject([
      { type: "published", listeners: 1 },
    ]);
    expect(await client.frames()).toMatchObject([{ type: "message", sender: "carl" }]);
    expect(node.publications).toEqual(["ok", "ok", "ok", "key_reused", "ok"]);
  });
});
