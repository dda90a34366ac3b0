import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, expect } from "vitest";
import { ask, OPCODE, RawWebSocket } from "../support/raw.ts";
import { type GatewayNode, sharedStage, test } from "../support/servers.ts";
import { token } from "../support/token.ts";
import { expectUnharmed, UNLIMITED } from "./unharmed.ts";

const EACH = 100;
/** The library's idle timeout is 10 s, give or take its timer of 4 s; dripping does not put it off. */
const CUT_MS = 16_000;
const ANSWER_MS = 1_000;

const stage = sharedStage();
let node: GatewayNode;

beforeAll(async () => {
  node = await stage.node({ env: { ...UNLIMITED, TIDEGATE_AUTH_TIMEOUT: "1s" } });
});

const bearer = { Authorization: `Bearer ${token()}` };
const START = "GET /v1/explain HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ";
const POST = [
  "POST /v1/channels/a/events HTTP/1.1",
  "Host: 127.0.0.1",
  `Authorization: ${bearer.Authorization}`,
  "Content-Type: application/json",
  "Content-Length: 1000",
  "\r\n",
].join("\r\n");

const SLOW: readonly (readonly [name: string, first: string, drip: string])[] = [
  ["nothing at all", "", ""],
  ["half a head", START, ""],
  ["a head, a byte at a time", START, "x"],
  ["half a body", `${POST} `, ""],
  ["a body, a byte at a time", POST, " "],
];

/** @returns whether the node ended it in time */
async function endure(first: string, drip: string): Promise<boolean> {
  const socket: Socket = stage.add(
    Object.assign(connect(node.port, "127.0.0.1"), { stop: () => socket.destroy() }),
  );
  socket.on("error", () => {}); // a reset is an end
  socket.resume();
  if (first !== "") socket.write(first);
  const timer = setInterval(() => drip !== "" && socket.write(drip), 1_000);
  const ended = new Promise<boolean>((resolve) => socket.once("close", () => resolve(true)));
  const inTime = await Promise.race([ended, sleep(CUT_MS, false)]);
  clearInterval(timer);
  socket.destroy();
  return inTime;
}

test(`${EACH} clients each of ${SLOW.length} slow kinds are cut, and keep nobody waiting`, {
  timeout: 40_000,
}, async () => {
  const all = Promise.all(
    SLOW.map(async ([name, first, drip]) => {
      const cut = await Promise.all(Array.from({ length: EACH }, () => endure(first, drip)));
      return [name, cut.filter(Boolean).length] as const;
    }),
  );
  let slowest = 0;
  for (let i = 0; i < 20; i++) {
    const start = performance.now();
    expect((await ask(node.port, bearer, "/v1/explain?action=subscribe&channel=a")).status).toBe(200);
    slowest = Math.max(slowest, performance.now() - start);
    await sleep(100);
  }
  expect(slowest).toBeLessThan(ANSWER_MS);
  expect(await all).toEqual(SLOW.map(([name]) => [name, EACH]));
});

test("a WebSocket that pings and pongs and never authenticates is ended all the same", async () => {
  const socket = stage.add(await RawWebSocket.open(node.port, "/ws"));
  const timer = setInterval(() => {
    socket.send(OPCODE.ping, "x");
    socket.send(OPCODE.pong, "");
    socket.send(OPCODE.text, '{"type":"ping"}');
  }, 50);
  stage.add({ stop: () => clearInterval(timer) });
  expect(await socket.ended).toBe(4408);
  clearInterval(timer);
});

test("the node is unharmed", () => expectUnharmed(node));
