import { describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import type { Client } from "./support/client.ts";
import { changes, close, members, tab, wait } from "./support/presence.ts";
import { type GatewayNode, test } from "./support/servers.ts";

/* Presence when nodes and Redis die, stop, fall silent and come back. */

const env = { TIDEGATE_PRESENCE: "room-*" };

describe.concurrent("a node", { timeout: 90_000 }, () => {
  test("that is killed takes those with it whom no other has, within 30 s, and nobody who is back", async ({
    stage,
  }) => {
    const server = await stage.redis();
    const [doomed, safe, third] = (await Promise.all(
      ["doomed", "safe", "third"].map((id) => stage.node({ id, redis: server, env })),
    )) as [GatewayNode, GatewayNode, GatewayNode];
    const watchers = await Promise.all([safe, third].map((node) => tab(stage, node, "watcher", "room-1")));
    for (const user of ["ann", "bob", "eve"]) await tab(stage, doomed, user, "room-1");
    const elsewhere = await tab(stage, safe, "eve", "room-1");
    await until("all are there", () => changes(watchers[0] as Client, "room-1").length === 3);
    doomed.kill();
    const start = performance.now();
    await wait(4_000);
    await tab(stage, third, "bob", "room-1");
    await until(
      "ann has left",
      () => changes(watchers[0] as Client, "room-1").includes("$leave ann"),
      30_000,
    );
    expect(performance.now() - start).toBeLessThan(30_000);
    await wait(4_000);
    for (const watcher of watchers) {
      expect(changes(watcher, "room-1").sort()).toEqual([
        "$join ann",
        "$join bob",
        "$join eve",
        "$leave ann",
      ]);
      expect(await members(watcher, "room-1")).toEqual(["bob", "eve", "watcher"]);
    }
    await close(elsewhere);
    await until("eve has left", () => changes(watchers[0] as Client, "room-1").includes("$leave eve"));
  });

  test("that stops hands over its clients without anybody leaving", async ({ stage }) => {
    const server = await stage.redis();
    const leaving = await stage.node({
      id: "leaving",
      redis: server,
      env: { ...env, TIDEGATE_DRAIN_TIME: "6s" },
      graceMs: 15_000,
    });
    const staying = await stage.node({ id: "staying", redis: server, env });
    const watcher = await tab(stage, staying, "watcher", "room-1");
    const users = ["ann", "bob", "eve"];
    const clients = await Promise.all(users.map((user) => tab(stage, leaving, user, "room-1")));
    await until("all are there", () => changes(watcher, "room-1").length === 3);
    leaving.kill("SIGTERM");
    // The first does as it is told, the second waits for the end, the third never comes back.
    const [obedient, late] = clients as [Client, Client];
    const { reconnect_in } = await obedient.next("closing", 10_000);
    await wait(reconnect_in as number);
    await tab(stage, staying, "ann", "room-1");
    await close(obedient);
    await late.closed;
    await wait(2_000);
    await tab(stage, staying, "bob", "room-1");
    await until("eve has left", () => changes(watcher, "room-1").length > 3, 30_000);
    await wait(1_000);
    expect(changes(watcher, "room-1").sort()).toEqual(["$join ann", "$join bob", "$join eve", "$leave eve"]);
  });

  test("and all others are not taken for dead after an outage of Redis", async ({ stage }) => {
    const server = await stage.redis();
    const nodes = (await Promise.all(["one", "two"].map((id) => stage.node({ id, redis: server, env })))) as [
      GatewayNode,
      GatewayNode,
    ];
    const watcher = await tab(stage, nodes[0], "watcher", "room-1");
    for (const [i, user] of ["ann", "bob", "eve"].entries())
      await tab(stage, nodes[i % 2] as GatewayNode, user, "room-1");
    await until("all are there", () => changes(watcher, "room-1").length === 3);
    // Long enough in touch to sweep, and then longer away than a node may be.
    await wait(16_000);
    server.kill("SIGSTOP");
    await wait(18_000);
    server.kill("SIGCONT");
    await until("it answers again", async () => {
      const answer = await watcher.request({ type: "presence", channel: "room-1" });
      return answer.count === 4;
    });
    await wait(20_000);
    expect(changes(watcher, "room-1").sort()).toEqual(["$join ann", "$join bob", "$join eve"]);
    expect(await members(watcher, "room-1")).toEqual(["ann", "bob", "eve", "watcher"]);
  });

  test("says all anew when Redis has lost everything", async ({ stage }) => {
    const server = await stage.redis();
    const [one, two] = (await Promise.all(
      ["one", "two"].map((id) => stage.node({ id, redis: server, env })),
    )) as [GatewayNode, GatewayNode];
    const watcher = await tab(stage, one, "watcher", "room-1");
    const ann = await tab(stage, two, "ann", "room-1", { name: "Ann" });
    const bob = await tab(stage, two, "bob", "room-1");
    await until("both are there", () => changes(watcher, "room-1").length === 2);
    server.kill();
    await wait(1_000);
    // Who goes while Redis is away has gone when it is back.
    await close(bob);
    await wait(3_000);
    await stage.redis({ port: server.port });
    await watcher.next((frame) => frame.type === "subscribed" && frame.resumed === false, 15_000);
    await until(
      "all are there",
      async () => (await members(watcher, "room-1").catch(() => [])).length === 2,
      15_000,
    );
    const answer = await watcher.request({ type: "presence", channel: "room-1" });
    expect(answer.members).toEqual([{ user: "ann", info: { name: "Ann" } }, { user: "watcher" }]);
    await close(ann);
    await until("she has left", () => changes(watcher, "room-1").includes("$leave ann"));
    // She may have joined anew before the watcher was told to reload, or behind that.
    const hers = changes(watcher, "room-1").filter((change) => change.endsWith(" ann"));
    expect(hers.join()).toMatch(/^(\$join ann,){1,2}\$leave ann$/);
  });
});
