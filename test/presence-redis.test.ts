import { readFileSync } from "node:fs";
import fc from "fast-check";
import { Redis } from "ioredis";
import { pino } from "pino";
import { beforeAll, describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { Functions } from "../src/backplane/redis/functions.ts";
import { RedisBackplane } from "../src/backplane/redis/redis.ts";
import { parseRedisUrl } from "../src/backplane/redis/redis-url.ts";
import { type Ear, freshPrefix, RULES } from "./support/backplanes.ts";
import { type Event, gone, heard, here, usersIn } from "./support/presence.ts";
import { type RedisServer, sharedStage, test } from "./support/servers.ts";

const shared = sharedStage();
let redis: RedisServer;

beforeAll(async () => {
  redis = await shared.redis();
});

/** A node that takes part: it says that it lives, and sweeps. */
async function node(server: RedisServer, prefix: string, name: string): Promise<Ear & { forgotten: number }> {
  const heard: Ear["heard"] = [];
  const made = {
    heard,
    interruptions: 0,
    revocations: [],
    forgotten: 0,
    backplane: new RedisBackplane({
      address: parseRedisUrl(server.url),
      prefix,
      node: name,
      instance: `${name}:x`,
      maxEventBytes: 65_536,
      history: RULES,
      presence: true,
      log: pino({ level: "silent" }),
      events: {
        event: (event) => void heard.push(event),
        refused: () => expect.unreachable(),
        interrupted: () => {},
        revoked: () => {},
        historyForgotten: () => {},
        forgotten: () => void made.forgotten++,
      },
      onFatal: (error) => expect.unreachable(error.message),
    }),
  };
  made.backplane.start();
  await until("the backplane is up", () => made.backplane.downSince === undefined);
  return made;
}

/** What is looked at from outside: FCALLs as nodes make them, of nodes that the test plays. */
async function beat(server: RedisServer, prefix: string, instance: string, isNew: 0 | 1, limit = 0) {
  const answer = await server.cli(
    "FCALL",
    "tidegate_beat",
    "0",
    prefix,
    instance,
    String(isNew),
    String(limit),
  );
  return answer.split("\n").map(Number);
}

describe.concurrent("presence over Redis", () => {
  test("a user on two nodes joins once and leaves once", async () => {
    const prefix = freshPrefix();
    const [one, two] = await Promise.all([node(redis, prefix, "node1"), node(redis, prefix, "node2")]);
    await two.backplane.subscribe("room");
    await one.backplane.attend([here("room", "ann", "1")]);
    await two.backplane.attend([here("room", "ann", "2")]);
    await one.backplane.attend([gone("room", "ann")]);
    expect(await heard(two)).toEqual(["$join ann1"]);
    expect((await two.backplane.members("room", undefined, 9)).members).toEqual([{ user: "ann", info: "1" }]);
    await two.backplane.attend([gone("room", "ann")]);
    expect(await heard(two)).toEqual(["$join ann1", "$leave ann"]);
    await Promise.all([one.backplane.close(), two.backplane.close()]);
  });

  test("who was on a dead node alone leaves once, whoever sweeps, and no other", async () => {
    const prefix = freshPrefix();
    const one = await node(redis, prefix, "node1");
    await one.backplane.subscribe("room");
    await beat(redis, prefix, "dead", 1);
    await one.backplane.attend([here("room", "both"), here("lobby", "user-7")]);
    const users = [...Array.from({ length: 250 }, (_, i) => `user-${i}`), "both"];
    const keys = users.map(() => `${prefix}:room`);
    const args = users.flatMap((user) => [user, ""]);
    await redis.cli("FCALL", "tidegate_present", String(keys.length), ...keys, "dead", ...args);
    // Nobody is swept who is heard of.
    expect(await beat(redis, prefix, "another", 1, 1_000)).toEqual([1, 0]);
    await redis.cli("ZADD", `${prefix}.holders`, "1", "dead");
    const taken: number[] = [];
    await Promise.all(
      ["another", "third"].map(async (instance) => {
        for (let count = 40; count >= 40; ) {
          count = (await beat(redis, prefix, instance, 1, 40))[1] as number;
          taken.push(count);
        }
      }),
    );
    expect(taken.reduce((sum, count) => sum + count)).toBe(251);
    const events = await heard(one);
    const left = events.filter((event) => event.startsWith("$leave")).sort();
    expect(left).toEqual(
      users
        .slice(0, -1)
        .map((user) => `$leave ${user}`)
        .sort(),
    );
    expect(await usersIn(one)).toEqual(["both"]);
    expect(await usersIn(one, "lobby")).toEqual(["user-7"]);
    // Nothing is left of it.
    expect(await redis.cli("ZSCORE", `${prefix}.holders`, "dead")).toBe("");
    expect(await redis.cli("EXISTS", `${prefix}.holds:dead`)).toBe("0");
    await one.backplane.close();
  });

  test("a node that was taken for dead says all anew, as another", async () => {
    const prefix = freshPrefix();
    const one = await node(redis, prefix, "node1");
    await one.backplane.subscribe("room");
    await one.backplane.attend([here("room", "ann")]);
    const { forgotten } = one;
    const [instance = ""] = (await redis.cli("ZRANGE", `${prefix}.holders`, "0", "-1")).split("\n");
    expect(instance).toMatch(/^node1:x\.\d+$/);
    await redis.cli("ZADD", `${prefix}.holders`, "1", instance);
    await expect(one.backplane.attend([gone("room", "ann")])).rejects.toMatchObject({
      code: "backplane_unavailable",
    });
    expect(one.forgotten).toBe(forgotten + 1);
    expect(await heard(one)).toEqual(["$join ann"]);
    await one.backplane.attend([here("room", "ann")]);
    await beat(redis, prefix, "another", 1, 100);
    expect(await heard(one)).toEqual(["$join ann"]);
    await one.backplane.attend([gone("room", "ann")]);
    expect(await heard(one)).toEqual(["$join ann", "$leave ann"]);
    await one.backplane.close();
  });

  test("a node learns by itself that Redis has lost everything", async () => {
    const prefix = freshPrefix();
    const one = await node(redis, prefix, "node1");
    await one.backplane.attend([here("room", "ann")]);
    const { forgotten } = one;
    await redis.cli(
      "DEL",
      `${prefix}.holders`,
      `${prefix}.members:{${prefix}:room}`,
      `${prefix}.present:{${prefix}:room}`,
    );
    await until("it was told", () => one.forgotten > forgotten, 5_000);
    await one.backplane.attend([here("room", "ann")]);
    expect(await usersIn(one)).toEqual(["ann"]);
    await one.backplane.close();
  });

  test("a node that comes back to Redis says all anew, and what only stands there is swept", {
    timeout: 60_000,
  }, async ({ stage }) => {
    const server = await stage.redis();
    const one = await node(server, "test", "node1");
    await one.backplane.subscribe("room");
    await one.backplane.attend([here("room", "ann"), here("room", "bob")]);
    const { forgotten } = one;
    await server.cli("CLIENT", "KILL", "TYPE", "pubsub");
    await until("it was told", () => one.forgotten > forgotten, 10_000);
    await until("it is up", () => one.backplane.downSince === undefined);
    // Bob went while nobody could be told.
    await one.backplane.attend([here("room", "ann")]);
    expect(await usersIn(one)).toEqual(["ann", "bob"]);
    await until("bob has left", async () => (await usersIn(one)).length === 1, 35_000);
    expect(await heard(one)).toEqual(["$join ann", "$join bob", "$leave bob"]);
    await one.backplane.close();
  });

  test("whatever nodes say, die and sweep in whatever order, each user comes and goes in turn", {
    timeout: 60_000,
  }, async () => {
    const nodes = ["n1", "n2", "n3"];
    const users = ["ann", "bob"];
    const step = fc.record({
      kind: fc.constantFrom("present", "present", "absent", "dies", "sweep"),
      at: fc.constantFrom(...nodes),
      user: fc.constantFrom(...users),
    });
    const client = new Redis(redis.url);
    const functions = new Functions(client);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const prefix = freshPrefix();
        const key = `${prefix}:room`;
        const beatAs = (name: string, isNew: number, limit: number) =>
          functions.call("tidegate_beat", [], [prefix, name, isNew, limit]);
        // Of each node: its present name there, and who it says is there.
        const lives = new Map(nodes.map((name) => [name, { life: 0, users: new Set<string>() }]));
        for (const name of nodes) await beatAs(`${name}.0`, 1, 0);
        for (const { kind, at, user } of steps) {
          const node = lives.get(at) as { life: number; users: Set<string> };
          const name = `${at}.${node.life}`;
          if (kind === "present") {
            expect(await functions.call("tidegate_present", [key], [name, user, ""])).toBe(1);
            node.users.add(user);
          } else if (kind === "absent") {
            expect(await functions.call("tidegate_absent", [key], [name, user])).toBe(1);
            node.users.delete(user);
          } else if (kind === "dies") {
            await client.zadd(`${prefix}.holders`, 1, name);
            expect(await functions.call("tidegate_present", [key], [name, user, ""])).toBe(0);
            lives.set(at, { life: node.life + 1, users: new Set() });
            await beatAs(`${at}.${node.life + 1}`, 1, 0);
          } else {
            await beatAs(name, 0, 1);
          }
        }
        await beatAs("sweeper", 1, 1_000);
        const there = users.filter((user) => nodes.some((name) => lives.get(name)?.users.has(user)));
        const [count, ...fields] = (await functions.call("tidegate_members", [key], ["", 10])) as unknown[];
        expect([count, fields.filter((_, i) => i % 2 === 0).map(String)]).toEqual([there.length, there]);
        const log = await client.xrange(`${prefix}.log:{${key}}`, "-", "+");
        const events = log.map(([, [, envelope = ""]]) => envelope.slice(envelope.indexOf("\n") + 1));
        for (const user of users) {
          const types = events
            .map((event) => JSON.parse(event) as Event)
            .filter(({ data }) => data.user === user)
            .map(({ type }) => type);
          expect(types).toEqual(types.map((_, i) => (i % 2 === 0 ? "$join" : "$leave")));
          expect(types.length % 2 === 1).toBe(there.includes(user));
        }
        const holders = await client.zcard(`${prefix}.holders`);
        expect(holders).toBe(nodes.length + 1);
      }),
      { numRuns: 100 },
    );
    client.disconnect();
  });

  test("asks no more of Redis than README.md grants", async ({ stage }) => {
    const [, rules = ""] =
      /ACL SETUSER tidegate +on >PASSWORD (.*)/.exec(readFileSync("README.md", "utf8")) ?? [];
    const server = await stage.redis({ user: { name: "tidegate", password: "secret", rules } });
    const one = await node(server, "tidegate", "node1");
    await one.backplane.subscribe("room");
    await one.backplane.attend([here("room", "ann"), here("room", "bob")]);
    await one.backplane.attend([gone("room", "bob")]);
    expect(await usersIn(one)).toEqual(["ann"]);
    expect(await heard(one)).toEqual(["$join ann", "$join bob", "$leave bob"]);
    await one.backplane.close();
  });

  test("all it keeps goes by itself when nobody speaks of it", async () => {
    const prefix = freshPrefix();
    const one = await node(redis, prefix, "node1");
    await one.backplane.attend([here("room", "ann")]);
    const names = (await redis.cli("KEYS", `${prefix}.*`)).split("\n");
    const presence = names.filter((name) => /\.(members|present|holds):/.test(name));
    expect(presence).toHaveLength(3);
    for (const name of presence) {
      const ms = Number(await redis.cli("PTTL", name));
      expect(ms).toBeGreaterThan(30 * 60_000);
      expect(ms).toBeLessThanOrEqual(60 * 60_000);
    }
    await one.backplane.attend([gone("room", "ann")]);
    const left = (await redis.cli("KEYS", `${prefix}.*`)).split("\n");
    expect(left.filter((name) => /\.(members|present|holds):/.test(name))).toEqual([]);
    await one.backplane.close();
  });
});
