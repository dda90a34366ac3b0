import { describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import type { EncodedEvent } from "../src/hub/encoded-event.ts";
import { joinBinary } from "../src/protocol/binary.ts";
import {
  backplanes,
  dataOf,
  type Ear,
  event,
  freshPrefix,
  overRedis,
  settle,
  textOf,
} from "./support/backplanes.ts";
import { test } from "./support/servers.ts";

const { redis, all } = backplanes();

function sequences(length: number): boolean[][] {
  if (length === 0) return [[]];
  return sequences(length - 1).flatMap((rest) => [
    [true, ...rest],
    [false, ...rest],
  ]);
}

/** Of each kind on channels that keep their events, and on those that do not. */
const kinds = all.flatMap(({ name, make }) => [
  { name, make },
  { name: `${name}, without history,`, make: (of: string) => make(of, []) },
]);

describe.each(kinds)("the $name backplane", ({ make }) => {
  const fresh = () => make(freshPrefix());

  test("hears what is published right after subscribe resolved", async () => {
    const one = await fresh();
    for (let i = 0; i < 50; i++) {
      await one.backplane.subscribe(`chat-${i}`);
      expect(await one.backplane.publish(event(`chat-${i}`, String(i)))).toMatchObject({ listeners: 1 });
    }
    await settle(one);
    expect(dataOf(one.heard)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  test("has no listeners where nobody subscribed", async () => {
    const one = await fresh();
    expect(await one.backplane.publish(event("chat-1", "1"))).toMatchObject({ listeners: 0 });
    await settle(one);
    expect(one.heard).toEqual([]);
  });

  test("echoes an event to its publisher, with its channel and bytes", async () => {
    const one = await fresh();
    await one.backplane.subscribe("a:b.c-d_e");
    const data = '{"text":"Grüße, 世界 👋","big":12345678901234567890}';
    const { id } = await one.backplane.publish(event("a:b.c-d_e", data));
    await settle(one);
    const [heard] = one.heard as [EncodedEvent];
    expect(one.heard).toHaveLength(1);
    expect(heard.channel).toBe("a:b.c-d_e");
    expect(textOf(heard).replace(/"timestamp":"\d{4}-\d\d-\d\dT[\d:.]{12}Z"/, '"timestamp":T')).toBe(
      `{"type":"message","channel":"a:b.c-d_e",${id ? `"id":"${id}",` : ""}"timestamp":T,"data":${data}}`,
    );
    expect(heard.binary).toBeUndefined();
    expect(heard.except).toBeUndefined();
  });

  test("keeps the order of a publisher over several channels", async () => {
    const one = await fresh();
    await Promise.all(["a", "b", "c"].map((channel) => one.backplane.subscribe(channel)));
    const numbers = Array.from({ length: 1_000 }, (_, i) => i);
    await Promise.all(numbers.map((i) => one.backplane.publish(event("abc".charAt(i % 3), String(i)))));
    await settle(one);
    expect(dataOf(one.heard)).toEqual(numbers);
  });

  test("carries which connection must not hear an event", async () => {
    const one = await fresh();
    await one.backplane.subscribe("chat");
    await one.backplane.publish(event("chat", "1", { except: "kJ3x_-9a-1z" }));
    await one.backplane.publish(event("chat", "2"));
    await settle(one);
    expect(one.heard.map(({ except }) => except)).toEqual(["kJ3x_-9a-1z", undefined]);
  });

  test("carries binary payloads, for both kinds of readers", async () => {
    const one = await fresh();
    await one.backplane.subscribe("chat");
    const payload = Uint8Array.from({ length: 3 * 256 }, (_, i) => i % 256);
    const { id } = await one.backplane.publish(event("chat", payload, { except: "somebody" }));
    await one.backplane.publish(event("chat", new Uint8Array()));
    await settle(one);
    const [heard, empty] = one.heard as [EncodedEvent, EncodedEvent];
    const frame = JSON.parse(textOf(heard)) as Record<string, unknown>;
    expect(frame).toEqual({
      type: "message",
      channel: "chat",
      ...(id && { id }),
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]{12}Z$/),
      data_base64: Buffer.from(payload).toString("base64"),
    });
    const { data_base64: _, ...head } = frame;
    expect(Buffer.from(heard.binary ?? [])).toEqual(Buffer.from(joinBinary(JSON.stringify(head), payload)));
    expect(heard.except).toBe("somebody");
    expect(JSON.parse(textOf(empty))).toMatchObject({ data_base64: "" });
  });

  test("hears nothing after unsubscribe, and again after another subscribe", async () => {
    const one = await fresh();
    await one.backplane.subscribe("chat");
    one.backplane.unsubscribe("chat");
    await one.backplane.subscribe("behind"); // calls take effect in the order made
    expect(await one.backplane.publish(event("chat", '"unheard"'))).toMatchObject({ listeners: 0 });
    await one.backplane.subscribe("chat");
    expect(await one.backplane.publish(event("chat", '"heard"'))).toMatchObject({ listeners: 1 });
    await settle(one);
    expect(dataOf(one.heard)).toEqual(["heard"]);
  });

  test("takes calls of one tick in the order made: the last one decides", async () => {
    const one = await fresh();
    // Every sequence of up to five calls, each on a channel of its own and all in one tick.
    const cases = [1, 2, 3, 4, 5].flatMap(sequences);
    const confirmed: Promise<void>[] = [];
    for (const [i, calls] of cases.entries()) {
      for (const subscribe of calls) {
        if (subscribe) confirmed.push(one.backplane.subscribe(`case-${i}`));
        else one.backplane.unsubscribe(`case-${i}`);
      }
    }
    await Promise.all(confirmed);
    await one.backplane.subscribe("behind");
    const published = await Promise.all(
      cases.map((_, i) => one.backplane.publish(event(`case-${i}`, String(i)))),
    );
    expect(published.map(({ listeners }) => listeners)).toEqual(cases.map((calls) => Number(calls.at(-1))));
    await settle(one);
    expect(one.heard).toHaveLength(published.filter(({ listeners }) => listeners === 1).length);
  });

  test("is closed without complaint, also twice", async () => {
    const one = await fresh();
    await one.backplane.subscribe("chat");
    await one.backplane.close();
    await one.backplane.close();
  });
});

describe("over Redis", () => {
  const make = overRedis(redis);

  test("an event reaches all nodes that listen, and the publisher learns how many", async () => {
    const of = freshPrefix();
    const [one, two, three] = (await Promise.all([make(of), make(of), make(of)])) as [Ear, Ear, Ear];
    await one.backplane.subscribe("chat");
    expect(await three.backplane.publish(event("chat", "1"))).toMatchObject({ listeners: 1 });
    await two.backplane.subscribe("chat");
    expect(await three.backplane.publish(event("chat", "2"))).toMatchObject({ listeners: 2 });
    one.backplane.unsubscribe("chat");
    await one.backplane.subscribe("behind");
    expect(await three.backplane.publish(event("chat", "3"))).toMatchObject({ listeners: 1 });
    await Promise.all([settle(one), settle(two), settle(three)]);
    expect([one, two, three].map(({ heard }) => dataOf(heard))).toEqual([[1, 2], [2, 3], []]);
  });

  test("a call that Redis does not answer fails within 3 s and leaves nothing behind", async ({ stage }) => {
    const server = await stage.redis();
    const one = await overRedis(() => server)("test");
    server.kill("SIGSTOP");
    const start = performance.now();
    const calls = [one.backplane.subscribe("chat"), one.backplane.publish(event("chat", "1"))];
    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: "backplane_unavailable" } });
    }
    expect(performance.now() - start).toBeLessThan(3_000);
    server.kill("SIGCONT");
    await until("it is up", () => one.backplane.downSince === undefined);
    await one.backplane.subscribe("behind");
    expect(await server.cli("PUBSUB", "CHANNELS", "test:*")).toBe("test:behind");
  });

  test("a subscribe that resolved stands, although an earlier one of the channel timed out", async ({
    stage,
  }) => {
    const server = await stage.redis();
    const one = await overRedis(() => server)("test");
    server.kill("SIGSTOP");
    const first = one.backplane.subscribe("chat").then(
      () => "resolved",
      () => "rejected",
    );
    one.backplane.unsubscribe("chat");
    const start = performance.now();
    await until("the first one is about to time out", () => performance.now() - start > 1_500);
    const second = one.backplane.subscribe("chat");
    expect(await first).toBe("rejected");
    server.kill("SIGCONT");
    await second;
    await one.backplane.subscribe("behind");
    expect(await one.backplane.publish(event("chat", "1"))).toMatchObject({ listeners: 1 });
  });

  test("after a reconnect it is subscribed to what is wanted by then, and to nothing else", async () => {
    const of = freshPrefix();
    const one = await make(of);
    const channels = Array.from({ length: 20_000 }, (_, i) => `chat-${i}`);
    await Promise.all(channels.map((channel) => one.backplane.subscribe(channel)));
    await redis().cli("CLIENT", "KILL", "TYPE", "pubsub");
    await until("it is down", () => one.backplane.downSince !== undefined);
    // From the end, while the batches go out from the beginning.
    while (one.backplane.downSince !== undefined) {
      for (const channel of channels.splice(-20)) one.backplane.unsubscribe(channel);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await one.backplane.subscribe("behind");
    const subscribed = (await redis().cli("PUBSUB", "CHANNELS", `${of}:*`)).split("\n");
    expect(channels.length).toBeLessThan(20_000);
    const wanted = new Set([...channels, "behind"].map((channel) => `${of}:${channel}`));
    expect(subscribed.filter((name) => !wanted.has(name)).slice(0, 3)).toEqual([]);
    expect(subscribed).toHaveLength(wanted.size);
    expect(one.interruptions).toBe(1);
  });

  test("it says that events may be missing after every reconnect, and not at the first connect", async () => {
    const one = await make(freshPrefix());
    expect(one.interruptions).toBe(0);
    for (const count of [1, 2]) {
      await redis().cli("CLIENT", "KILL", "TYPE", "pubsub");
      await until("it says so", () => one.interruptions === count);
    }
  });
});
