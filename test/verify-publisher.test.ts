import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { until } from "../deploy/local/process.ts";
import { Checker } from "../src/verify/checker.ts";
import { Counts } from "../src/verify/counts.ts";
import { Published, Publisher } from "../src/verify/publisher.ts";
import { type Acknowledgement, NotPublished, type Outgoing, type Way } from "../src/verify/way.ts";
import { HttpWay } from "../src/verify/way-http.ts";
import { RedisWay } from "../src/verify/way-redis.ts";
import { WebSocketWay } from "../src/verify/way-websocket.ts";
import { type RedisServer, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

/** Answers as it is told to. */
class FakeWay implements Way {
  readonly attempts: Outgoing[] = [];
  readonly line = {};
  readonly #answer: (attempt: number) => string | Promise<string>;
  constructor(answer: (attempt: number) => string | Promise<string>) {
    this.#answer = answer;
  }
  async publish(event: Outgoing): Promise<Acknowledgement> {
    this.attempts.push(event);
    return { id: await this.#answer(this.attempts.length), line: this.line };
  }
  stop(): void {}
}

function publisher(way: Way, rate: number, maxRetryMs = 100) {
  const counts = new Counts();
  const published = new Published();
  const refusals: string[] = [];
  const onRefused = (why: string) => void refusals.push(why);
  const options = { run: "r", number: 0, channels: 3, rate, maxRetryMs, onRefused };
  const one = new Publisher(way, new Checker(counts), published, options);
  return { counts, published, refusals, publisher: one };
}

describe("a publisher", () => {
  it("tries an event that was not answered again, with the same key, until it is acknowledged", async () => {
    const way = new FakeWay((attempt) => {
      if (attempt < 5) throw new NotPublished("over_capacity", `no: ${attempt}`, true);
      return `e-c:${attempt}`;
    });
    const one = publisher(way, 1);
    one.publisher.start();
    await until("both are acknowledged", () => one.counts.acknowledged === 2);
    await one.publisher.stop();
    expect(way.attempts).toHaveLength(6);
    expect(new Set(way.attempts.map((attempt) => JSON.stringify(attempt))).size).toBe(2);
    expect(way.attempts[0]).toMatchObject({ key: "r-0-1", channel: "verify-r-0" });
    expect(way.attempts[1]).toMatchObject({ key: "r-0-2", channel: "verify-r-0" });
    expect(one.published).toMatchObject({ begun: 2, givenUp: 0 });
    expect([...one.published.failures]).toEqual([["over_capacity", { times: 4, message: "no: 1" }]]);
    expect(one.refusals).toEqual([]);
  });

  it("says in each event where it belongs", async () => {
    const way = new FakeWay((attempt) => `e-c:${attempt}`);
    const one = publisher(way, 200);
    one.publisher.start();
    await until("some are acknowledged", () => one.counts.acknowledged > 10);
    await one.publisher.stop();
    for (const { channel, data } of way.attempts)
      expect(JSON.parse(data)).toMatchObject({ run: "r", channel, publisher: 0 });
  });

  it("sees that two which it sent one behind the other stand the other way round", async () => {
    const swapped = publisher(
      new FakeWay((attempt) => `e-c:${attempt % 2 === 1 ? attempt + 1 : attempt - 1}`),
      50,
    );
    swapped.publisher.start();
    await until("some are acknowledged", () => swapped.counts.acknowledged >= 4);
    await swapped.publisher.stop();
    expect(swapped.counts.reordered).toBeGreaterThanOrEqual(2);
  });

  it("finds no fault with an order that nobody has promised", async () => {
    // The first was answered by an error, and published later.
    const retried = publisher(
      new FakeWay((attempt) => {
        if (attempt === 1) throw new NotPublished("no_answer", "no", true);
        return `e-c:${attempt}`;
      }),
      1,
    );
    retried.publisher.start();
    await until("both are acknowledged", () => retried.counts.acknowledged === 2);
    await retried.publisher.stop();
    // Each pair is answered before the next is sent, and Redis goes back in time.
    const back = publisher(
      new FakeWay((attempt) => `e-c:${1_000 - 10 * Math.ceil(attempt / 2) + attempt}`),
      50,
    );
    back.publisher.start();
    await until("some are acknowledged", () => back.counts.acknowledged > 20);
    await back.publisher.stop();
    expect([retried.counts.reordered, back.counts.reordered]).toEqual([0, 0]);
  });

  it("gives up what no attempt can help", async () => {
    const one = publisher(
      new FakeWay(() => {
        throw new NotPublished("forbidden", "No grant allows this", false);
      }),
      100,
    );
    one.publisher.start();
    await until("some were given up", () => one.published.givenUp > 5);
    await one.publisher.stop();
    expect(one.counts.acknowledged).toBe(0);
    expect(one.published.begun).toBe(one.published.givenUp);
    expect(one.refusals).toEqual(["cannot publish: No grant allows this"]);
  });

  it("counts an event that was taken for another, and goes on", async () => {
    const one = publisher(
      new FakeWay(() => {
        throw new NotPublished("key_reused", "The idempotency key was used for another event", false);
      }),
      100,
    );
    one.publisher.start();
    await until("some were given up", () => one.published.givenUp > 5);
    await one.publisher.stop();
    expect(one.counts.conflicting).toBe(one.published.givenUp);
    expect(one.refusals).toEqual([]);
  });

  it("does not wait for the next attempt when it is stopped", async () => {
    const way = new FakeWay(() => {
      throw new NotPublished("no_answer", "no", true);
    });
    const one = publisher(way, 50, 60_000);
    one.publisher.start();
    await until("attempts are put off for long", () => way.attempts.length > 20);
    await sleep(500);
    const start = performance.now();
    await one.publisher.stop();
    expect(performance.now() - start).toBeLessThan(50);
    const { length } = way.attempts;
    await sleep(300);
    expect(way.attempts).toHaveLength(length);
  });

  it("keeps to its rate", async () => {
    let ids = 0;
    const one = publisher(new FakeWay(() => `e-c:${++ids}`), 200);
    one.publisher.start();
    await sleep(1_000);
    await one.publisher.stop();
    expect(one.counts.acknowledged).toBeGreaterThan(100);
    expect(one.counts.acknowledged).toBeLessThan(260);
  });
});

describe.concurrent("an event that is published twice with one key has one id", () => {
  const event = { channel: "verify-r-0", data: '{"n":1}', key: "k" };
  const other = { ...event, data: '{"n":2}' };

  async function expectOnce(way: Way): Promise<void> {
    try {
      let id = "";
      await until("it is published", async () => {
        id = (await way.publish(event).catch(() => ({ id: "" }))).id; // until there is a connection
        return id !== "";
      });
      expect((await way.publish(event)).id).toBe(id);
      await expect(way.publish(other)).rejects.toMatchObject({
        name: "NotPublished",
        temporary: false,
        code: "key_reused",
        message: expect.stringContaining("key_reused"),
      });
    } finally {
      way.stop();
    }
  }

  test.for([
    ["a frame", (url: string) => new WebSocketWay(`${url.replace("http", "ws")}/ws`, () => token(), 500)],
    ["a request", (url: string) => new HttpWay(url, () => token())],
    ["the function in Redis", (_: string, redis: RedisServer) => new RedisWay(redis.url, "tidegate")],
  ] as const)("by %s", async ([, create], { stage }) => {
    const redis = await stage.redis();
    const node = await stage.node({ redis });
    await expectOnce(create(node.url, redis));
  });
});
