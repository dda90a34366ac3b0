import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect } from "vitest";
import { until } from "../../deploy/local/process.ts";
import type { Client } from "../support/client.ts";
import { metric } from "../support/metrics.ts";
import { OPCODE, RawWebSocket } from "../support/raw.ts";
import { type GatewayNode, type RedisServer, sharedStage, test } from "../support/servers.ts";
import { token } from "../support/token.ts";
import { CONTINUATION, wire } from "./frames.ts";
import { expectUnharmed } from "./unharmed.ts";

const { text, ping, pong } = OPCODE;
const CONNECTIONS = 'tidegate_connections{transport="websocket"}';

const CLOSED = 'tidegate_connections_closed_total{reason="command_rate"}';

const stage = sharedStage();
let redis: RedisServer;
let node: GatewayNode;
let neighbour: Client;

beforeAll(async () => {
  redis = await stage.redis();
  // The limits as they come: they are what is tested.
  node = await stage.node({ redis });
  neighbour = await stage.client(node.webSocketUrl, { token: token({ sub: "neighbour" }) });
});

/** Asks all the time, within the neighbour's own rate, until told to stop. */
function askNeighbour(): () => Promise<number> {
  let asking = true;
  let answers = 0;
  const asked = (async () => {
    while (asking) {
      expect(await neighbour.request({ type: "ping" })).toMatchObject({ type: "pong" });
      answers++;
      await sleep(25);
    }
    return answers;
  })();
  asked.catch(() => {}); // told by whoever stops it
  return () => {
    asking = false;
    return asked;
  };
}

const open = (headers: Record<string, string> = { Authorization: `Bearer ${token()}` }) =>
  RawWebSocket.open(node.port, "/ws", headers);
const command = (json: object) => wire(text, JSON.stringify(json));
const subscribe = (count: number) =>
  command({
    type: "subscribe",
    channels: Array.from({ length: count }, (_, i) => ({ channel: `flood-${i}` })),
  });

describe("a flood", () => {
  const FRAMES = 5_000;
  const bearer = { Authorization: `Bearer ${token()}` };

  test.for<[name: string, frame: Buffer, headers: Record<string, string>]>([
    ["pings", wire(ping), bearer],
    ["pings of 125 bytes", wire(ping, Buffer.alloc(125)), bearer],
    ["pongs that nobody asked for", wire(pong), bearer],
    ["pings before `auth`", wire(ping), {}],
    ["pongs before `auth`", wire(pong), {}],
    ["commands", command({ type: "ping" }), bearer],
    ["commands before `auth`", command({ type: "subscribe", channel: "a" }), {}],
    ["commands that are none", wire(text, "x"), bearer],
    ["empty texts", wire(text), bearer],
    ["empty binaries", wire(OPCODE.binary), bearer],
    ["denied commands", command({ type: "publish", channel: "job:x", data: 1 }), bearer],
    [
      "one channel on and off",
      Buffer.concat([subscribe(1), command({ type: "unsubscribe", channel: "flood-0" })]),
      bearer,
    ],
    ["a hundred channels at a time", subscribe(100), bearer],
    ["more channels than may be", subscribe(1_000), bearer],
    ["publishes", command({ type: "publish", channel: "flood", data: "x".repeat(500) }), bearer],
    ["fresh tokens", command({ type: "auth", token: token() }), bearer],
    ["foreign tokens", command({ type: "auth", token: token({ sub: "eve" }) }), bearer],
  ])("of %s is ended by the rate, and nobody else notices", async ([, frame, headers]) => {
    const before = await metric(node, CONNECTIONS);
    const closedBefore = await metric(node, CLOSED);
    const stopAsking = askNeighbour();
    const socket = await open(headers);
    let ended = false;
    void socket.ended.then(() => {
      ended = true;
    });
    const some = Buffer.concat(Array(50).fill(frame));
    for (let sent = 0; sent < FRAMES && !ended; sent += 50) {
      if (!socket.socket.write(some)) await sleep(1);
    }
    // What is still on its way to the node makes the kernel reset the connection, and the close frame may be lost.
    expect([4429, undefined]).toContain(await socket.ended);
    expect(await stopAsking()).toBeGreaterThan(0);
    await until("it is gone", async () => (await metric(node, CONNECTIONS)) === before);
    expect(await metric(node, CLOSED)).toBe(closedBefore + 1);
  });

  test("of empty fragments is not counted (the library tells nobody of them), and nobody else notices", async () => {
    const stopAsking = askNeighbour();
    const socket = stage.add(await open());
    socket.socket.write(wire(text, '{"type":"ping",', { fin: false }));
    const some = Buffer.concat(Array(10_000).fill(wire(CONTINUATION, "", { fin: false })));
    for (let i = 0; i < 10; i++) {
      socket.socket.write(some);
      await sleep(10);
    }
    socket.socket.write(wire(CONTINUATION, '"ref":"end"}'));
    await until("the message is answered", () =>
      socket.frames.some(({ payload }) => payload.includes('"ref":"end"')),
    );
    expect(await stopAsking()).toBeGreaterThan(0);
  });

  test("of ten connections at once leaves room for the neighbour", async () => {
    const stopAsking = askNeighbour();
    const sockets = await Promise.all(Array.from({ length: 10 }, () => open()));
    const some = Buffer.concat(Array(FRAMES).fill(command({ type: "ping" })));
    for (const { socket } of sockets) socket.write(some);
    for (const socket of sockets) expect([4429, undefined]).toContain(await socket.ended);
    expect(await stopAsking()).toBeGreaterThan(0);
  });
});

test("10,000 channels in one go are an error, and cost no subscription", async ({ stage }) => {
  const client = await stage.client(node.webSocketUrl, { token: token() });
  for (let frames = 0; frames < 10; frames++) {
    const channels = Array.from({ length: 1_000 }, (_, i) => ({ channel: `many-${frames}-${i}` }));
    expect(await client.request({ type: "subscribe", channels })).toMatchObject({
      code: "too_many_channels",
    });
  }
  expect(await redis.cli("PUBSUB", "CHANNELS", "tidegate:many-*")).toBe("");
});

test("a token of a thousand patterns is none", async () => {
  const channels = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`${i}`, ["subscribe"]]));
  const opened = open({ Authorization: `Bearer ${token({ channels })}` });
  await expect(opened).rejects.toThrow(/401|431/);
});

test("connections that go away amid their commands leave nothing behind", async () => {
  const before = await metric(node, CONNECTIONS);
  for (let round = 0; round < 20; round++) {
    const socket = await open({});
    const channels = Array.from({ length: 30 }, (_, i) => `race-${(round + i) % 40}`);
    socket.socket.write(
      Buffer.concat([
        command({ type: "auth", token: token({ sub: `user-${round}` }) }),
        ...channels.map((channel) => command({ type: "subscribe", channel })),
        ...channels.map((channel) => command({ type: "publish", channel, data: round })),
        ...channels.map((channel) => command({ type: "unsubscribe", channel })),
        ...channels.map((channel) => command({ type: "subscribe", channel, ref: 1 })),
      ]),
    );
    await sleep(round % 5);
    if (round % 2 === 0) socket.socket.resetAndDestroy();
    else socket.stop();
  }
  await until("they are gone", async () => (await metric(node, CONNECTIONS)) === before);
  await until("nobody listens for them", async () => {
    return (await redis.cli("PUBSUB", "CHANNELS", "tidegate:race-*")) === "";
  });
});

test("the node is unharmed", () => expectUnharmed(node));
