import { beforeAll, describe, expect } from "vitest";
import type { Client } from "./support/client.ts";
import { type GatewayNode, type RedisServer, type Stage, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

const stage = sharedStage();
const TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

describe.each(["memory", "redis"])("a trace, on %s", (kind) => {
  let redis: RedisServer | undefined;
  let node: GatewayNode;

  beforeAll(async () => {
    redis = kind === "redis" ? await stage.redis() : undefined;
    node = await stage.node(redis ? { redis } : {});
  });

  async function post(path: string, body: object, headers: Record<string, string> = {}): Promise<number> {
    const all = { authorization: `Bearer ${token()}`, "content-type": "application/json", ...headers };
    return (await fetch(node.url + path, { method: "POST", headers: all, body: JSON.stringify(body) }))
      .status;
  }

  async function listening(from: Stage, channel: string): Promise<Client> {
    const client = await from.client(node.webSocketUrl, { token: token(), channels: [channel] });
    await client.next("subscribed");
    return client;
  }

  test("comes out as it went in, by every way in", async ({ stage }) => {
    const client = await listening(stage, "traced");
    await post("/v1/channels/traced/events", { data: 1 }, { traceparent: TRACE });
    await post("/v1/batch", { events: [{ channel: "traced", data: 2, traceparent: TRACE }] });
    const publisher = await stage.client(node.webSocketUrl, { token: token() });
    await publisher.request({ type: "publish", channel: "traced", event: { data: 3 }, traceparent: TRACE });
    for (const data of [1, 2, 3])
      expect(await client.next("message")).toMatchObject({ data, traceparent: TRACE });
    if (!redis) return;
    await redis.cli("FCALL", "tidegate_publish", "1", "tidegate:traced", "", "4", "", TRACE);
    await redis.cli(
      "PUBLISH",
      "tidegate:traced",
      JSON.stringify({ type: "message", data: 5, traceparent: TRACE }),
    );
    for (const data of [4, 5])
      expect(await client.next("message")).toMatchObject({ data, traceparent: TRACE });
    expect(
      await redis.cli("FCALL", "tidegate_publish", "1", "tidegate:traced", "", "4", "", '00"'),
    ).toContain("bad_event");
  });

  test("is in the history, and in event streams", async () => {
    await post("/v1/channels/traced-2/events", { data: 1 }, { traceparent: TRACE });
    const authorization = `Bearer ${token()}`;
    const kept = await fetch(`${node.url}/v1/channels/traced-2/events`, { headers: { authorization } });
    expect(await kept.json()).toMatchObject({ events: [{ data: 1, traceparent: TRACE }] });
    const stop = new AbortController();
    const stream = await fetch(`${node.url}/v1/events?channel=traced-2&last=1`, {
      headers: { authorization },
      signal: stop.signal,
    });
    let text = "";
    for await (const chunk of stream.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString();
      if (text.includes("event: message\n") && text.endsWith("\n\n")) break;
    }
    stop.abort();
    expect(text).toContain(`"traceparent":"${TRACE}"`);
  });

  test("that is none is ignored in a header, and refused in a frame", async ({ stage }) => {
    const client = await listening(stage, "untraced");
    const wrong = [
      "1",
      TRACE.toUpperCase(),
      `${TRACE}-x`,
      `ff${TRACE.slice(2)}`,
      `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
      `00-0af7651916cd43dd8448eb211c80319c-${"0".repeat(16)}-01`,
    ];
    for (const traceparent of wrong) {
      expect(await post("/v1/channels/untraced/events", { data: 1 }, { traceparent })).toBe(201);
      expect(await client.next("message")).not.toHaveProperty("traceparent");
      const refused = await client.request({ type: "publish", channel: "untraced", data: 1, traceparent });
      expect(refused).toMatchObject({ type: "error", code: "bad_event" });
    }
  });
});
