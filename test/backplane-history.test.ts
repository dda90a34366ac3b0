import { describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { lossIn } from "../src/hub/continuity.ts";
import type { EncodedEvent } from "../src/hub/encoded-event.ts";
import { formatId, type Position, parseId } from "../src/protocol/position.ts";
import {
  backplanes,
  dataOf,
  event,
  freshPrefix,
  headOf,
  offsetsOf,
  positionOf,
  publish,
  settle,
  textOf,
} from "./support/backplanes.ts";
import { test } from "./support/servers.ts";

const { all } = backplanes();

describe.each(all)("the history of the $name backplane", ({ make }) => {
  const fresh = () => make(freshPrefix());

  test("begins where nothing was published, and stays there", async () => {
    const one = await fresh();
    const head = await headOf(one, "chat");
    expect(formatId(head)).toMatch(/^[0-9a-f]{16}-00000000:0$/);
    expect(await one.backplane.head("chat")).toEqual(head);
    expect(await one.backplane.readAfter("chat", 0, 10)).toEqual({ head, events: [] });
    expect(await one.backplane.readBefore("chat", 1, 10)).toEqual({ head, events: [] });
  });

  test("is another one for each channel, however many are asked for at once", async () => {
    const one = await fresh();
    const names = Array.from({ length: 1_200 }, (_, i) => (i % 10 === 3 ? `none-${i}` : `chat-${i}`));
    await publish(one, "chat-1", 2);
    const heads = await Promise.all(names.map((name) => one.backplane.head(name)));
    expect(heads.map((head) => head?.offset)).toEqual(
      names.map((name) => (name.startsWith("none") ? undefined : name === "chat-1" ? 2 : 0)),
    );
    expect(new Set(heads.map((head) => head?.epoch)).size).toBe(1_081);
  });

  test("gives ids without a gap, each chained to the one before, the same to all who ask", async () => {
    const one = await fresh();
    await one.backplane.subscribe("chat");
    const start = await headOf(one, "chat");
    const published = await publish(one, "chat", 200);
    await settle(one);
    const read = await one.backplane.readAfter("chat", 0, 500);
    let last = start;
    for (const [i, answer] of published.entries()) {
      const position = positionOf(answer);
      expect(position).toEqual({
        epoch: start.epoch,
        check: expect.stringMatching(/^[0-9a-f]{8}$/),
        offset: i + 1,
      });
      expect(position.check).not.toBe(last.check);
      for (const found of [one.heard[i], read.events[i]] as EncodedEvent[]) {
        expect(found).toMatchObject({ channel: "chat", position, previous: last.check });
        expect(JSON.parse(textOf(found))).toMatchObject({ id: answer.id, data: i + 1 });
      }
      expect(answer).toMatchObject({ listeners: 1, repeated: false });
      last = position;
    }
    expect([one.heard.length, read.events.length]).toEqual([200, 200]);
    expect(read.head).toEqual(last);
    expect(await one.backplane.head("chat")).toEqual(last);
  });

  test("is read forwards from any offset, up to any limit", async () => {
    const one = await fresh();
    const head = positionOf((await publish(one, "chat", 12)).at(-1));
    for (const [offset, limit, expected] of [
      [0, 12, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]],
      [0, 5, [1, 2, 3, 4, 5]],
      [7, 3, [8, 9, 10]],
      [7, 1, [8]],
      [7, 0, []],
      [10, 1_000_000_000, [11, 12]],
      [12, 10, []],
      [13, 10, []],
      [Number.MAX_SAFE_INTEGER, 10, []],
    ] as const) {
      const page = await one.backplane.readAfter("chat", offset, limit);
      expect(page.head).toEqual(head);
      expect(dataOf(page.events), `${limit} after ${offset}`).toEqual(expected);
    }
  });

  test("is read backwards from any offset, newest first, up to any limit", async () => {
    const one = await fresh();
    const head = positionOf((await publish(one, "chat", 12)).at(-1));
    for (const [offset, limit, expected] of [
      [Number.MAX_SAFE_INTEGER, 3, [12, 11, 10]],
      [13, 2, [12, 11]],
      [12, 2, [11, 10]],
      [4, 1_000_000_000, [3, 2, 1]],
      [2, 5, [1]],
      [1, 5, []],
      [0, 5, []],
      [8, 0, []],
    ] as const) {
      const page = await one.backplane.readBefore("chat", offset, limit);
      expect(page.head).toEqual(head);
      expect(dataOf(page.events), `${limit} before ${offset}`).toEqual(expected);
    }
  });

  test("comes with as many as were asked for, also when these are thousands", async () => {
    const one = await fresh();
    await publish(one, "chat", 2_500);
    expect((await one.backplane.readAfter("chat", 100, 2_000)).events).toHaveLength(2_000);
    expect((await one.backplane.readBefore("chat", 2_400, 1_001)).events).toHaveLength(1_001);
  });

  test("comes in pages of about a megabyte, in both directions", async () => {
    const one = await fresh();
    const data = JSON.stringify("x".repeat(60_000));
    for (let i = 0; i < 40; i++) await one.backplane.publish(event("chat", data));
    const forwards: unknown[] = [];
    const backwards: unknown[] = [];
    for (let pages = 0; forwards.length < 40; pages++) {
      const { events } = await one.backplane.readAfter("chat", forwards.length, 100);
      if (pages < 2) expect(events.length).toBeGreaterThan(10);
      expect(events.length).toBeLessThan(25);
      forwards.push(...offsetsOf(events));
      expect(pages).toBeLessThan(4);
    }
    for (let pages = 0; backwards.length < 40; pages++) {
      backwards.push(
        ...offsetsOf((await one.backplane.readBefore("chat", 41 - backwards.length, 100)).events),
      );
      expect(pages).toBeLessThan(4);
    }
    expect(forwards).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    expect(backwards).toEqual(forwards.reverse());
  });

  test("keeps all of an event: both its frames, and who must not hear it", async () => {
    const one = await fresh();
    await one.backplane.subscribe("chat");
    const payload = Uint8Array.from({ length: 768 }, (_, i) => i % 256);
    const data = '{ "text":"Grüße, 世界 👋","big":12345678901234567890, "a":1,"a":2}';
    await one.backplane.publish(event("chat", data, { type: "order.placed", except: "kJ3x_-9a-1z" }));
    await one.backplane.publish(event("chat", payload, { type: "A:b_c-d.9", sender: "ann", except: "c-1" }));
    await one.backplane.publish(
      event("chat", new Uint8Array(), { sender: 'O"Brien\\ \u2028\ud800 世界 👋' }),
    );
    await one.backplane.publish(event("chat", "null", { sender: "\n\u0000;}" }));
    await settle(one);
    const { events } = await one.backplane.readAfter("chat", 0, 10);
    expect(events.map(plainly)).toEqual(one.heard.map(plainly));
    expect(events.map(({ except }) => except)).toEqual(["kJ3x_-9a-1z", "c-1", undefined, undefined]);
    const [text, binary, empty] = events as [EncodedEvent, EncodedEvent, EncodedEvent];
    expect(textOf(text)).toContain(`"data":${data}}`);
    expect(Buffer.from(binary.binary ?? []).subarray(-768)).toEqual(Buffer.from(payload));
    expect(JSON.parse(textOf(empty))).toMatchObject({
      sender: 'O"Brien\\ \u2028\ud800 世界 👋',
      data_base64: "",
    });
    expect(JSON.parse(textOf(events[3] as EncodedEvent))).toMatchObject({ sender: "\n\u0000;}", data: null });
  });

  test("is not there where it is off: events are heard as ever, without an id", async () => {
    const one = await fresh();
    await one.backplane.subscribe("none-1");
    expect(one.backplane.keeps("none-1")).toBeUndefined();
    expect(one.backplane.keeps("few-1")).toMatchObject({ size: 5, timeMs: 600_000 });
    expect(await one.backplane.publish(event("none-1", "1"))).toEqual({
      id: undefined,
      listeners: 1,
      repeated: false,
    });
    await settle(one);
    expect(one.heard).toMatchObject([{ position: undefined, previous: "" }]);
    expect(JSON.parse(textOf(one.heard[0] as EncodedEvent))).not.toHaveProperty("id");
    expect(await one.backplane.head("none-1")).toBeUndefined();
    for (const read of ["readAfter", "readBefore"] as const)
      expect(await one.backplane[read]("none-1", 1, 10)).toEqual({ head: undefined, events: [] });
  });

  test("keeps no more events than it may", async () => {
    const one = await fresh();
    const last = (await publish(one, "few-1", 12)).at(-1);
    expect(await one.backplane.head("few-1")).toEqual(positionOf(last));
    expect(dataOf((await one.backplane.readAfter("few-1", 0, 100)).events)).toEqual([8, 9, 10, 11, 12]);
    expect(dataOf((await one.backplane.readAfter("few-1", 9, 2)).events)).toEqual([10, 11]);
    expect(dataOf((await one.backplane.readBefore("few-1", 100, 100)).events)).toEqual([12, 11, 10, 9, 8]);
    expect(dataOf((await one.backplane.readBefore("few-1", 9, 100)).events)).toEqual([8]);
    expect(dataOf((await one.backplane.readBefore("few-1", 8, 100)).events)).toEqual([]);
  });

  test("keeps no event for longer than it may, and goes on from where it was", async () => {
    const one = await fresh();
    await publish(one, "brief-1", 100);
    expect(await one.backplane.readBefore("brief-1", 1_000, 1)).toMatchObject({ head: { offset: 100 } });
    await until("all are past their time", async () => {
      return (await one.backplane.readAfter("brief-1", 0, 1_000)).events.length === 0;
    });
    const head = await headOf(one, "brief-1");
    expect(head.offset).toBe(100);
    expect((await one.backplane.readBefore("brief-1", 1_000, 10)).events).toEqual([]);
    // All at once: the next event is past its time soon, too.
    const [next, after, before] = await Promise.all([
      one.backplane.publish(event("brief-1", '"next"')),
      one.backplane.readAfter("brief-1", 0, 1_000),
      one.backplane.readBefore("brief-1", 1_000, 10),
    ]);
    expect(positionOf(next)).toMatchObject({ epoch: head.epoch, offset: 101 });
    for (const { events } of [after, before]) {
      expect(dataOf(events)).toEqual(["next"]);
      expect(events).toMatchObject([{ previous: head.check }]);
    }
  });

  test("says of every position whether all that follows is there", async () => {
    const one = await fresh();
    const positions = [await headOf(one, "few-1"), ...(await publish(one, "few-1", 12)).map(positionOf)];
    const loss = async (since: Position) =>
      lossIn(since, await one.backplane.readAfter("few-1", since.offset, 100));
    for (const [offset, since] of positions.entries())
      expect(await loss(since), `behind ${offset}`).toBe(offset < 7 ? "trimmed" : undefined);
    for (const offset of [7, 9, 12]) {
      const at = positions[offset] as Position;
      expect(await loss({ ...at, check: "ffffffff" }), `another at ${offset}`).toBe("forked");
      expect(await loss({ ...at, epoch: "0123456789abcdef" }), "of another life").toBe("history_lost");
    }
    const head = positions[12] as Position;
    for (const offset of [13, 1_000_000, Number.MAX_SAFE_INTEGER])
      expect(await loss({ ...head, offset }), `of the future: ${offset}`).toBe("forked");
    const none = lossIn(head, await one.backplane.readAfter("none-1", head.offset, 100));
    expect(none).toBe("no_history");
  });
});

function plainly({ text, binary, ...rest }: EncodedEvent): object {
  return { ...rest, text: Buffer.from(text).toString("latin1"), binary: binary && Buffer.from(binary) };
}

describe.each(all)("an idempotency key on the $name backplane", ({ make }) => {
  const key = { name: "k-1", scope: "ann" };

  test("publishes an event once: who repeats it gets the same id", async () => {
    const one = await make(freshPrefix());
    await one.backplane.subscribe("chat");
    const first = await one.backplane.publish(event("chat", '"once"', { key }));
    expect(first).toMatchObject({ listeners: 1, repeated: false });
    await one.backplane.publish(event("chat", '"between"'));
    const again = { id: first.id, listeners: 0, repeated: true };
    const repeats = [1, 2, 3].map(() => one.backplane.publish(event("chat", '"once"', { key })));
    expect(await Promise.all(repeats)).toEqual([again, again, again]);
    await settle(one);
    expect(dataOf(one.heard)).toEqual(["once", "between"]);
    expect(dataOf((await one.backplane.readAfter("chat", 0, 10)).events)).toEqual(["once", "between"]);
  });

  test("publishes an event once, however many try at the same time", async () => {
    const one = await make(freshPrefix());
    await one.backplane.subscribe("chat");
    const tries = Array.from({ length: 20 }, () => one.backplane.publish(event("chat", "1", { key })));
    const answers = await Promise.all(tries);
    await settle(one);
    expect(one.heard).toHaveLength(1);
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
    expect(answers.filter(({ repeated }) => !repeated)).toHaveLength(1);
  });

  test("stands for one event: with anything else it is refused, and nothing is published", async () => {
    const one = await make(freshPrefix());
    const first = event("chat", '{"a":1}', { type: "order", sender: "ann", key });
    const { id } = await one.backplane.publish(first);
    for (const [what, other] of Object.entries({
      data: { ...first, data: '{"a":2}' },
      "data, though of the same value": { ...first, data: '{ "a":1}' },
      "binary data": { ...first, data: Buffer.from('{"a":1}') },
      type: { ...first, type: "orders" },
      sender: { ...first, sender: "bob" },
      "no sender": { ...first, sender: undefined },
    })) {
      await expect(one.backplane.publish(other), what).rejects.toMatchObject({ code: "key_reused" });
    }
    expect(await one.backplane.head("chat")).toEqual(parseId(id));
    // Who must not hear it is no part of it: a client that comes back has another connection.
    expect(await one.backplane.publish({ ...first, except: "c-2" })).toMatchObject({ id, repeated: true });
  });

  test("is its publisher's own, and of one channel", async () => {
    const one = await make(freshPrefix());
    const answers = [];
    for (const [channel, name, scope] of [
      ["chat", "k", "ann"],
      ["chat", "k", "bob"],
      ["chat", "kb", "ann"],
      ["chat", "k", "annk"],
      ["chat-2", "k", "ann"],
    ] as const) {
      answers.push(await one.backplane.publish(event(channel, "1", { key: { name, scope } })));
    }
    expect(answers.map(({ repeated }) => repeated)).toEqual([false, false, false, false, false]);
    expect(answers.map((answer) => positionOf(answer).offset)).toEqual([1, 2, 3, 4, 1]);
  });

  test("counts also where no history is kept, and of what was trimmed", async () => {
    const one = await make(freshPrefix());
    await one.backplane.subscribe("none-1");
    const none = () => one.backplane.publish(event("none-1", "1", { key }));
    expect(await none()).toEqual({ id: undefined, listeners: 1, repeated: false });
    expect(await none()).toEqual({ id: undefined, listeners: 0, repeated: true });
    const few = () => one.backplane.publish(event("few-1", '"keyed"', { key }));
    const { id } = await few();
    await publish(one, "few-1", 10);
    expect(await few()).toMatchObject({ id, repeated: true });
    await settle(one);
    expect(dataOf(one.heard)).toEqual([1]);
  });
});

test("all backplanes give the same frames, but for their ids and times", async () => {
  const said = await Promise.all(
    all.map(async ({ make }) => {
      const one = await make(freshPrefix());
      const channels = ["a:b.c-d_e", "none-1"];
      for (const channel of channels) {
        await one.backplane.subscribe(channel);
        for (const more of [
          {},
          { type: "order.placed", sender: "ann", except: "c-1" },
          { sender: 'O"Brien\\ \u2028\ud800 \u007f世界 👋' },
        ]) {
          for (const data of [
            '{ "text":"Grüße" }',
            "1e999",
            '"\\u0000"',
            Buffer.from([0, 255, 10, 123]),
            Buffer.alloc(0),
          ])
            await one.backplane.publish(event(channel, data, more));
        }
      }
      await settle(one);
      return one.heard.map(({ text, binary, position, ...rest }) => ({
        ...rest,
        previous: rest.previous && "P",
        offset: position?.offset,
        text: alike(text),
        binary: binary && alike(binary),
      }));
    }),
  );
  expect(said[0]).toHaveLength(30);
  for (const one of said) expect(one).toEqual(said[0]);
});

/** Its id and time replaced by as many other bytes: those in front of a binary frame count them. */
function alike(frame: Uint8Array): string {
  return Buffer.from(frame)
    .toString("latin1")
    .replace(/"id":"[0-9a-f]{16}-[0-9a-f]{8}:/, '"id":"')
    .replace(/"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/, '"timestamp":T');
}
