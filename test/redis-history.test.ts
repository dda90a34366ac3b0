import { describe, expect } from "vitest";
import { lossIn } from "../src/hub/continuity.ts";
import type { Position } from "../src/protocol/position.ts";
import {
  backplanes,
  dataOf,
  type Ear,
  event,
  freshPrefix,
  headOf,
  NO_FUNCTIONS,
  offsetsOf,
  overRedis,
  positionOf,
  publish,
  RULES,
  settle,
  textOf,
} from "./support/backplanes.ts";
import { type RedisServer, test } from "./support/servers.ts";

const { redis, all } = backplanes();

describe("the history in Redis", () => {
  const make = overRedis(redis);

  test("is one for all nodes, in one order, whoever publishes", async () => {
    const of = freshPrefix();
    const nodes = (await Promise.all([make(of), make(of), make(of)])) as [Ear, Ear, Ear];
    for (const { backplane } of nodes) await backplane.subscribe("chat");
    await Promise.all(nodes.map((node) => publish(node, "chat", 100)));
    await Promise.all(nodes.map((node) => settle(node)));
    const { head, events } = await nodes[0].backplane.readAfter("chat", 0, 1_000);
    expect(offsetsOf(events)).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    for (const { backplane, heard } of nodes) {
      expect(heard.map(textOf)).toEqual(events.map(textOf));
      expect(await backplane.head("chat")).toEqual(head);
    }
  });

  test("that was lost begins anew: no id of one life is one of another", async ({ stage }) => {
    const server = await stage.redis();
    const one = await overRedis(() => server)("test");
    const seen = new Set<string>();
    for (let life = 0; life < 3; life++) {
      for (const answer of await publish(one, "chat", 3)) seen.add(answer.id as string);
      await server.cli(life === 0 ? "FLUSHALL" : "DEL", "test.meta:{test:chat}");
    }
    expect(seen.size).toBe(9);
    const head = await headOf(one, "chat");
    expect(head.offset).toBe(0);
    expect((await one.backplane.readAfter("chat", 0, 10)).events, "of the life before").toEqual([]);
  });

  test.for([
    ["is no log any more", "SET", "hello"],
    ["has an event of the future", "XADD", "99-1", "e", "1t\n{}"],
  ])("begins anew when its log %s", async ([, command, ...args], { stage }) => {
    const server = await stage.redis();
    const one = await overRedis(() => server)("test");
    const [first] = await publish(one, "chat", 3);
    const key = "test.log:{test:chat}";
    if (command === "SET") await server.cli("DEL", key);
    await server.cli(command as string, key, ...args);
    const next = positionOf(await one.backplane.publish(event("chat", '"next"')));
    expect(next.offset).toBe(1);
    expect(next.epoch).not.toBe(positionOf(first).epoch);
    const { head, events } = await one.backplane.readAfter("chat", 0, 10);
    expect(head).toEqual(next);
    expect(dataOf(events)).toEqual(["next"]);
  });

  test("gives what stands in front of a damaged event, and nothing behind it", async ({ stage }) => {
    const server = await stage.redis();
    const one = await overRedis(() => server)("test");
    await publish(one, "chat", 2);
    await server.cli("XADD", "test.log:{test:chat}", "3-99999999999999", "e", "garbage");
    await server.cli("HSET", "test.meta:{test:chat}", "offset", "3");
    await publish(one, "chat", 2);
    const { head, events } = await one.backplane.readAfter("chat", 0, 10);
    expect(offsetsOf(events)).toEqual([1, 2]);
    expect(head?.offset).toBe(5);
  });

  test.for(all.filter(({ name }) => name !== "memory"))(
    "is not thrown away when $name has no memory left: publishing fails until it has",
    async ({ name }, { stage }) => {
      const server = await stage.redis(name === "redis" ? {} : { config: NO_FUNCTIONS });
      const one = await overRedis(() => server)("test");
      const [, , third] = await publish(one, "chat", 3);
      await server.cli("CONFIG", "SET", "maxmemory", "1");
      await expect(one.backplane.publish(event("chat", "4"))).rejects.toMatchObject({
        code: "backplane_unavailable",
      });
      await server.cli("CONFIG", "SET", "maxmemory", "0");
      expect(await one.backplane.head("chat")).toEqual(positionOf(third));
      const fourth = await one.backplane.publish(event("chat", "4"));
      expect(positionOf(fourth).offset).toBe(4);
      expect(dataOf((await one.backplane.readAfter("chat", 0, 10)).events)).toEqual([1, 2, 3, 4]);
    },
  );

  test("goes away by itself, its position a day later", async ({ stage }) => {
    const server = await stage.redis();
    const one = await overRedis(() => server)("test", RULES);
    await publish(one, "chat", 1);
    await one.backplane.publish(event("chat", "1", { key: { name: "k", scope: "ann" } }));
    const ttl = async (key: string) => Number(await server.cli("PTTL", key));
    const minute = 60_000;
    const between = (from: number, to: number) => ({ from: from - minute, to });
    for (const [key, { from, to }] of [
      ["test.log:{test:chat}", between(10 * minute, 10 * minute)],
      ["test.meta:{test:chat}", between(24 * 60 * minute + 10 * minute, 24 * 60 * minute + 10 * minute)],
    ] as const) {
      expect(await ttl(key)).toBeGreaterThan(from);
      expect(await ttl(key)).toBeLessThanOrEqual(to);
    }
    const keys = (await server.cli("KEYS", "test.key:*")).split("\n");
    expect(keys).toHaveLength(1);
    expect(await ttl(keys[0] as string)).toBeGreaterThan(4 * minute);
    expect(await ttl(keys[0] as string)).toBeLessThanOrEqual(5 * minute);
  });

  test("that went back in time leaves out an offset, once, however many nodes say so", async ({ stage }) => {
    const server = await stage.redis();
    const nodes = (await Promise.all([1, 2].map(() => overRedis(() => server)("test")))) as [Ear, Ear];
    const published = await publish(nodes[0], "chat", 3);
    const [, second, third] = published.map(positionOf) as [Position, Position, Position];
    for (const known of [second, third]) {
      expect(await nodes[0].backplane.fork("chat", known), "what is there is no fork").toEqual(third);
    }
    // A replica that had not heard of the third one becomes the master.
    await server.cli("XDEL", "test.log:{test:chat}", await newestEntry(server));
    await server.cli("HSET", "test.meta:{test:chat}", "offset", "2", "check", second.check);
    const heads = [];
    for (const { backplane } of [...nodes, ...nodes]) heads.push(await backplane.fork("chat", third));
    expect(heads[0]).toMatchObject({ epoch: third.epoch, offset: 3 });
    expect(heads[0]?.check).not.toBe(third.check);
    for (const head of heads) expect(head).toEqual(heads[0]);
    const next = positionOf(await nodes[0].backplane.publish(event("chat", '"next"')));
    expect(next.offset).toBe(4);
    const page = await nodes[0].backplane.readAfter("chat", 2, 10);
    expect(dataOf(page.events)).toEqual(["next"]);
    expect(lossIn(second, page), "who has what was before is told").toBe("trimmed");
  });
});

async function newestEntry(server: RedisServer): Promise<string> {
  const [id = ""] = (await server.cli("XREVRANGE", "test.log:{test:chat}", "+", "-", "COUNT", "1")).split(
    "\n",
  );
  return id;
}
