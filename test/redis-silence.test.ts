import { describe, expect } from "vitest";
import { LostMessages } from "./support/lost-messages.ts";
import { scrape } from "./support/metrics.ts";
import { TcpProxy } from "./support/proxy.ts";
import { type RedisServer, type Stage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

/** The rounds come by every channel in ten seconds, and wait one more for what is on its way. */
const FOUND_WITHIN_MS = 12_000;

/** A client of a node that hears of Redis what `lost` lets through. */
async function follow(stage: Stage, redis: RedisServer, lost: LostMessages) {
  const proxy = stage.add(await TcpProxy.start(redis.port));
  proxy.answer = lost.cut;
  const node = await stage.node({ env: { TIDEGATE_REDIS_URL: `redis://127.0.0.1:${proxy.port}` } });
  const client = await stage.client(node.webSocketUrl, { token: token(), channels: ["chat"] });
  await client.next("subscribed");
  return { node, client, proxy };
}

/** Keeps and sends it, as nodes do. */
function publish(redis: RedisServer, data: number): Promise<string> {
  return redis.cli("FCALL", "tidegate_publish", "1", "tidegate:chat", "", String(data));
}

describe.concurrent("an event that pub/sub lost while the connection stands", () => {
  test("comes all the same, with no other event to show it", { timeout: 40_000 }, async ({ stage }) => {
    const redis = await stage.redis();
    const lost: LostMessages = new LostMessages((name) => name === "tidegate!chat" && lost.count === 0);
    const { node, client, proxy } = await follow(stage, redis, lost);
    await publish(redis, 1);
    const event = await client.next((frame) => frame.data === 1, FOUND_WITHIN_MS);
    expect(lost.count, "else it came by itself").toBe(1);
    expect(event.id).toMatch(/:1$/);
    // What comes now comes by itself, behind it.
    await publish(redis, 2);
    await client.next((frame) => frame.data === 2, 1_000);
    expect(client.events("chat").map(({ data }) => data)).toEqual([1, 2]);
    expect(client.frames.filter(({ resumed }) => resumed === false)).toEqual([]);
    const metrics = await scrape(node);
    expect(metrics.get("tidegate_holes_total")).toBe(1);
    expect(metrics.get("tidegate_history_reads_total")).toBe(1);
    expect(metrics.get("tidegate_backplane_connects_total"), "the connection stood").toBe(1);
    expect(proxy.connections).toBe(2);
  });

  test("comes at once when the next one does not belong behind the one before it", async ({ stage }) => {
    const redis = await stage.redis();
    const lost: LostMessages = new LostMessages((name) => name === "tidegate!chat" && lost.count < 2);
    const { client } = await follow(stage, redis, lost);
    for (const data of [1, 2, 3]) await publish(redis, data);
    await client.next((frame) => frame.data === 3, 1_000);
    expect(lost.count).toBe(2);
    expect(client.events("chat").map(({ data }) => data)).toEqual([1, 2, 3]);
  });
});
