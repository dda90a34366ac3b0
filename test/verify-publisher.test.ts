import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { until } from "../deploy/local/process.ts";
import { Checker } from "../src/verify/checker.ts";
import { Counts } from "../src/verify/counts.ts";
import { Published, Publisher } from "../src/verify/publisher.ts";
import { NotPublished, type Outgoing, type Way } from "../src/verify/way.ts";
import { HttpWay } from "../src/verify/way-http.ts";
import { RedisWay } from "../src/verify/way-redis.ts";
import { WebSocketWay } from "../src/verify/way-websocket.ts";
import { type RedisServer, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

/** Answers as it is told to. */
class FakeWay implements Way {
  readonly attempts: Outgoing[] = [];
  readonly #answer: (attempt: number) => string;
  constructor(answer: (attempt: number) => string) {
    this.#answer = answer;
  }
  async publish(event: Outgoing): Promise<string> {
    this.attempts.push(event);
    return this.#answer(this.attempts.length);
  }
  stop(): void {}
}

function publisher(way: Way, rate: number) {
  const counts = new Counts();
  const published = new Published();
  const options = { run: "r", number: 0, channels: 3, rate, maxRetryMs: 100 };
  return { counts, published, publisher: new Publisher(way, new Checker(counts), published, options) };
}

describe("a publisher", () => {
  it("tries an event that was not answered again, with the same key, until it is acknowledged", async () => {
    const way = new FakeWay((attempt) => {
      if (attempt < 3) throw new NotPublished("no answer", true);
      return `e-c:${attempt}`;
    });
    const one = publisher(way, 1);
    one.publisher.start();
    await until("it is acknowledged", () => one.counts.acknowledged === 1);
    await one.publisher.stop();
    expect(way.attempts).toHaveLength(3);
    expect(new Set(way.attempts.map((attempt) => JSON.stringify(attempt))).size).toBe(1);
    expect(way.attempts[0]).toMatchObject({ key: "r-0-1", channel: "verify-r-1" });
    expect(one.published).toMatchObject({ begun: 1, givenUp: 0 });
    expect([...one.published.failures]).toEqual([["no answer", 2]]);
  });

  it("gives up what no attempt can help", async () => {
    const one = publisher(
      new FakeWay(() => {
        throw new NotPublished("forbidden", false);
      }),
      100,
    );
    one.publisher.start();
    await until("some were given up", () => one.published.givenUp > 5);
    await one.publisher.stop();
    expect(one.counts.acknowledged).toBe(0);
    expect(one.published.begun).toBe(one.published.givenUp);
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
        id = await way.publish(event).catch(() => ""); // until there is a connection
        return id !== "";
      });
      expect(await way.publish(event)).toBe(id);
      await expect(way.publish(other)).rejects.toMatchObject({
        name: "NotPublished",
        temporary: false,
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
