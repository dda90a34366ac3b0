import { connect } from "node:net";
import { describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { refusal } from "./support/client.ts";
import { metric } from "./support/metrics.ts";
import { head, RawWebSocket } from "./support/raw.ts";
import { type GatewayNode, logged, type Stage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

const node = (stage: Stage, drainTime: string) => stage.node({ env: { TIDEGATE_DRAIN_TIME: drainTime } });
const exitOf = async (node: GatewayNode) => {
  const start = performance.now();
  return { ...(await node.process.exited), seconds: (performance.now() - start) / 1000 };
};

describe.concurrent("a node that is told to stop", () => {
  test("says at once that it is not ready, asks its clients to move, closes who stays at a flat rate, and exits with 0", async ({
    stage,
  }) => {
    const one = await node(stage, "6s");
    const clients = await stage.clients(120, one.webSocketUrl, { token: token(), channels: ["chat"] });
    const closedAt: number[] = [];
    const closes = clients.map(async (client) => {
      const { code } = await client.closed;
      closedAt.push(performance.now());
      return code;
    });
    const start = performance.now();
    one.kill("SIGTERM");
    await until("it is not ready", async () => !(await one.isReady()), 1_000);
    expect(performance.now() - start).toBeLessThan(500);
    const { checks } = (await (await fetch(`${one.admin}/readyz`)).json()) as { checks: object[] };
    expect(checks).toContainEqual({ name: "not draining", ok: false });
    expect(await metric(one, "tidegate_draining")).toBe(1);
    expect((await fetch(`${one.admin}/healthz`)).status).toBe(200);
    // It takes whom the balancer still sends, and serves whom it has.
    const late = await stage.client(one.webSocketUrl, { token: token() });
    expect(await late.request({ type: "publish", channel: "chat", data: "still" })).toMatchObject({
      listeners: 1,
    });
    await Promise.all(clients.map((client) => client.next((frame) => frame.data === "still")));

    expect(await one.process.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - start).toBeLessThan(7_000);
    expect(new Set(await Promise.all(closes))).toEqual(new Set([4000]));
    expect(await late.closed).toEqual({ code: 4000, reason: "shutting_down" });
    // Two seconds for the balancer; then two of telling, each closed when its grace of two seconds is over.
    const window = (Math.max(...closedAt) - Math.min(...closedAt)) / 1000;
    expect(window).toBeGreaterThan(1.5);
    for (const client of [...clients, late]) {
      const closing = client.frames.at(-1);
      expect(closing).toMatchObject({ type: "closing", code: 4000, reason: "shutting_down", fresh: true });
      expect(closing?.grace).toBeGreaterThan(1_800);
      expect(closing?.reconnect_in).toBeLessThanOrEqual(1_000);
    }
    const mean = clients.length / window;
    for (const from of closedAt) {
      const inSecond = closedAt.filter((at) => at >= from && at < from + 1_000).length;
      expect(inSecond).toBeLessThan(2 * mean);
    }
  });

  test("takes nobody new once it closes its connections", async ({ stage }) => {
    const one = await node(stage, "3s");
    const [client] = await stage.clients(10, one.webSocketUrl, { token: token() });
    one.kill("SIGTERM");
    await until(
      "it closes connections",
      async () => (await metric(one, 'tidegate_connections{transport="websocket"}')) < 10,
    );
    await expect(refusal(one.webSocketUrl)).rejects.toThrow("ECONNREFUSED");
    await client?.closed;
    expect(await exitOf(one)).toMatchObject({ code: 0 });
  });

  test("is not held by clients that never read and never answer", async ({ stage }) => {
    const one = await node(stage, "1s");
    const options = { Authorization: `Bearer ${token()}` };
    const stuck = await Promise.all([1, 2, 3].map(() => RawWebSocket.open(one.port, "/ws", options)));
    for (const raw of stuck) stage.add(raw).socket.pause();
    // Half a request, and a handshake that is never finished.
    const half = connect({ port: one.port, host: "127.0.0.1" });
    stage.add({ stop: () => half.destroy() });
    await new Promise((resolve) =>
      half.write(head("POST /v1/channels/a/events HTTP/1.1", { Host: "a", "Content-Length": "9" }), resolve),
    );
    one.kill("SIGTERM");
    const { code, seconds } = await exitOf(one);
    expect(code).toBe(0);
    expect(seconds).toBeLessThan(2.5);
  });

  test("ends at once by a second signal, with another exit code", async ({ stage }) => {
    const one = await node(stage, "60s");
    await stage.client(one.webSocketUrl, { token: token() });
    one.kill("SIGTERM");
    await until("it drains", async () => (await metric(one, "tidegate_draining")) === 1);
    one.kill("SIGINT");
    const { code, seconds } = await exitOf(one);
    expect(code).toBe(1);
    expect(seconds).toBeLessThan(1);
    await logged(one, (entry) => entry.msg === "stopping");
  });

  test.for(["SIGTERM", "SIGINT"] as const)(
    "exits at once without connections, by %s",
    async (signal, { stage }) => {
      const one = await node(stage, "60s");
      await (await fetch(`${one.url}/v1/explain`)).arrayBuffer(); // a kept connection is not one that waits
      one.kill(signal);
      const { code, seconds } = await exitOf(one);
      expect(code).toBe(0);
      expect(seconds).toBeLessThan(1);
    },
  );

  test("exits as soon as the last connection is gone", async ({ stage }) => {
    const one = await node(stage, "60s");
    const client = await stage.client(one.webSocketUrl, { token: token() });
    one.kill("SIGTERM");
    await until("it drains", async () => (await metric(one, "tidegate_draining")) === 1);
    client.socket.close();
    const { code, seconds } = await exitOf(one);
    expect(code).toBe(0);
    expect(seconds).toBeLessThan(5);
  });

  test("closes everybody at once when it has no time", async ({ stage }) => {
    const one = await node(stage, "0s");
    const clients = await stage.clients(20, one.webSocketUrl, { token: token() });
    one.kill("SIGTERM");
    for (const client of clients) expect((await client.closed).code).toBe(4000);
    expect(await exitOf(one)).toMatchObject({ code: 0 });
  });

  test("stops in order too while Redis hangs", async ({ stage }) => {
    const redis = await stage.redis();
    const one = await stage.node({ redis });
    const client = await stage.client(one.webSocketUrl, { token: token(), channels: ["chat"] });
    await client.next("subscribed");
    redis.kill("SIGSTOP");
    one.kill("SIGTERM");
    expect((await client.closed).code).toBe(4000);
    const { code, seconds } = await exitOf(one);
    expect(code).toBe(0);
    expect(seconds).toBeLessThan(4);
  });
});
