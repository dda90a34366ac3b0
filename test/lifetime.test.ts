import { beforeAll, describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import type { Client } from "./support/client.ts";
import { metric } from "./support/metrics.ts";
import { frame, OPCODE, RawWebSocket } from "./support/raw.ts";
import { type GatewayNode, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

// How long a connection lives: heartbeat, time to authenticate, end of the token.

const stage = sharedStage();
let node: GatewayNode;

beforeAll(async () => {
  const env = {
    TIDEGATE_HEARTBEAT: "5s",
    TIDEGATE_PONG_TIMEOUT: "1s",
    TIDEGATE_AUTH_TIMEOUT: "1s",
    TIDEGATE_COMMAND_RATE: "0",
  };
  node = await stage.node({ env });
});

/** Resolves with the close code and the seconds until then. */
async function secondsUntil(end: Promise<{ code?: number } | number | undefined>) {
  const start = performance.now();
  const ended = await end;
  return {
    code: typeof ended === "object" ? ended.code : ended,
    seconds: (performance.now() - start) / 1000,
  };
}

describe.concurrent("a client that never pongs is closed with 4002 within seven seconds", () => {
  test("when it is silent", async ({ stage }) => {
    const client = await stage.client(node.webSocketUrl, { token: token(), autoPong: false });
    const { code, seconds } = await secondsUntil(client.closed);
    expect(code).toBe(4002);
    expect(seconds).toBeLessThan(7);
    expect(seconds).toBeGreaterThan(0.9);
  });

  test("when it sends frames all the time", async ({ stage }) => {
    const client = await stage.client(node.webSocketUrl, { token: token(), autoPong: false });
    const timer = setInterval(() => client.send({ type: "ping" }), 50);
    stage.add({ stop: () => clearInterval(timer) });
    const { code, seconds } = await secondsUntil(client.closed.finally(() => clearInterval(timer)));
    expect(code).toBe(4002);
    expect(seconds).toBeLessThan(7);
    expect(client.frames.length).toBeGreaterThan(20);
  });

  test("when its channel is busy", async ({ stage }) => {
    const options = { token: token(), channels: ["busy"] };
    const silent = await stage.client(node.webSocketUrl, { ...options, autoPong: false });
    const [publisher] = (await stage.clients(1, node.webSocketUrl, options)) as [Client];
    const timer = setInterval(() => publisher.send({ type: "publish", channel: "busy", data: 1 }), 20);
    stage.add({ stop: () => clearInterval(timer) });
    const { code, seconds } = await secondsUntil(silent.closed);
    expect(code).toBe(4002);
    expect(seconds).toBeLessThan(7);
    expect(silent.events("busy").length).toBeGreaterThan(30);
    expect(publisher.isOpen).toBe(true);
  });

  test("when it drips a frame byte by byte", async ({ stage }) => {
    const raw = stage.add(await RawWebSocket.open(node.port, "/ws", { Authorization: `Bearer ${token()}` }));
    const bytes = [
      ...frame(OPCODE.text, Buffer.from(JSON.stringify({ type: "ping", pad: "x".repeat(2_000) }))),
    ];
    const timer = setInterval(() => raw.socket.write(Buffer.from([bytes.shift() as number])), 20);
    stage.add({ stop: () => clearInterval(timer) });
    const { code, seconds } = await secondsUntil(raw.ended.finally(() => clearInterval(timer)));
    expect(code).toBe(4002);
    expect(seconds).toBeLessThan(7);
    expect(bytes.length).toBeGreaterThan(0);
  });

  test("when it answers with other pongs only before it is asked", async ({ stage }) => {
    const raw = stage.add(await RawWebSocket.open(node.port, "/ws", { Authorization: `Bearer ${token()}` }));
    raw.send(OPCODE.pong, "");
    raw.send(OPCODE.ping, "");
    const { code, seconds } = await secondsUntil(raw.ended);
    expect(code).toBe(4002);
    expect(seconds).toBeLessThan(7);
    expect(raw.frames.filter((frame) => frame.opcode === OPCODE.pong)).toHaveLength(1);
    expect(raw.frames.filter((frame) => frame.opcode === OPCODE.ping)).toHaveLength(1);
  });

  test("and is counted; one that pongs lives, and its round trips are measured", async ({ stage }) => {
    const client = await stage.client(node.webSocketUrl, { token: token() });
    let pings = 0;
    client.socket.on("ping", () => pings++);
    const roundTrips = () => metric(node, "tidegate_ping_round_trip_seconds_count");
    const before = await roundTrips();
    await until("it was pinged twice", () => pings === 2);
    await until("it is counted", async () => (await roundTrips()) - before >= 2);
    expect(client.isOpen).toBe(true);
    expect(await metric(node, 'tidegate_connections_closed_total{reason="no_pong"}')).toBeGreaterThan(0);
    const seconds = await metric(node, "tidegate_ping_round_trip_seconds_sum");
    expect(seconds).toBeLessThan(2);
  });
});

describe.concurrent("a connection without a token", () => {
  test("is closed with 4408 when it does not authenticate in time", async ({ stage }) => {
    const client = await stage.client(node.webSocketUrl);
    const { code, seconds } = await secondsUntil(client.closed);
    expect(code).toBe(4408);
    expect(seconds).toBeGreaterThan(0.8);
    expect(seconds).toBeLessThan(3.5);
  });

  test("is closed with 4408 too when it sends everything else", async ({ stage }) => {
    const client = await stage.client(node.webSocketUrl);
    const timer = setInterval(() => client.send({ type: "ping" }), 100);
    stage.add({ stop: () => clearInterval(timer) });
    expect(await client.request({ type: "subscribe", channel: "chat" })).toMatchObject({
      code: "auth_required",
    });
    const { code, seconds } = await secondsUntil(client.closed.finally(() => clearInterval(timer)));
    expect(code).toBe(4408);
    expect(seconds).toBeLessThan(3.5);
  });

  test("stays when it does", async ({ stage }) => {
    const client = await stage.client(node.webSocketUrl);
    expect(await client.request({ type: "auth", token: token() })).toMatchObject({ type: "authenticated" });
    const other = await stage.client(node.webSocketUrl);
    await other.closed; // came later, and is over
    expect(await client.request({ type: "ping" })).toMatchObject({ type: "pong" });
  });

  test("is closed when its token is bad: 44xx when a fresh one helps, else 45xx", async ({ stage }) => {
    const close = async (bad: string) => {
      const client = await stage.client(node.webSocketUrl);
      client.send({ type: "auth", token: bad, ref: 1 });
      const { code: said } = await client.next("error");
      const { code } = await client.closed;
      return [said, code];
    };
    expect(await close(token({ expiresIn: -1 }))).toEqual(["token_expired", 4401]);
    expect(await close("garbage")).toEqual(["token_invalid", 4501]);
    expect(await close(token({ key: "x".repeat(32) }))).toEqual(["token_invalid", 4501]);
  });
});

describe.concurrent("a connection ends with its token", () => {
  test("with 4401, by the second, and hears nothing afterwards", async ({ stage }) => {
    const client = await stage.client(node.webSocketUrl, {
      token: token({ expiresIn: 2 }),
      channels: ["end"],
    });
    const expiresIn = client.frames[0]?.expires_in as number;
    const { code, seconds } = await secondsUntil(client.closed);
    expect(code).toBe(4401);
    expect(seconds).toBeGreaterThan(expiresIn / 1000 - 0.1);
    expect(seconds).toBeLessThan(expiresIn / 1000 + 2.5);
    expect(await metric(node, "tidegate_subscriptions")).toBeGreaterThanOrEqual(0);
  });

  test("unless a fresh one came: it goes on with the fresh one's grants and end", async ({ stage }) => {
    const channels = { "a-*": ["subscribe"], b: ["subscribe"] };
    const client = await stage.client(node.webSocketUrl, { token: token({ expiresIn: 2, channels }) });
    for (const channel of ["a-1", "b"]) await client.request({ type: "subscribe", channel });
    const longer = await stage.client(node.webSocketUrl, { token: token({ expiresIn: 4 }) });

    const fresh = token({ expiresIn: 600, channels: { "a-*": ["subscribe", "publish"] } });
    expect(await client.request({ type: "auth", token: fresh })).toMatchObject({
      type: "authenticated",
      user: "user-1",
      expires_in: expect.any(Number),
    });
    expect(await client.next()).toEqual({ type: "unsubscribed", channel: "b", code: "forbidden" });
    expect((await longer.closed).code).toBe(4401);
    expect(await client.request({ type: "publish", channel: "a-1", data: 1 })).toMatchObject({
      listeners: 1,
    });
    expect(client.isOpen).toBe(true);
  });

  test("and a bad fresh one changes nothing", async ({ stage }) => {
    const client = await stage.client(node.webSocketUrl, { token: token({ expiresIn: 3 }) });
    const refuse = async (bad: string) => (await client.request({ type: "auth", token: bad })).code;
    expect(await refuse("garbage")).toBe("token_invalid");
    expect(await refuse(token({ expiresIn: -1 }))).toBe("token_expired");
    expect(await refuse(token({ sub: "somebody else" }))).toBe("user_mismatch");
    expect(await client.request({ type: "subscribe", channel: "chat" })).toMatchObject({
      type: "subscribed",
    });
    expect((await client.closed).code).toBe(4401);
  });
});
