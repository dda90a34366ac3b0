import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, expect } from "vitest";
import { Client } from "../support/client.ts";
import { RawWebSocket } from "../support/raw.ts";
import { type GatewayNode, sharedStage, test } from "../support/servers.ts";
import { token } from "../support/token.ts";
import { frames, http, json } from "./fuzz.ts";
import { Random } from "./random.ts";
import { expectUnharmed, UNLIMITED } from "./unharmed.ts";

/** `FUZZ_SECONDS=1800 npx vitest run test/hostile/fuzz.test.ts`, with another seed each night. */
const SECONDS = Number(process.env.FUZZ_SECONDS ?? 4);
/** Replays a run, as far as timing lets it. */
const SEED = Number(process.env.FUZZ_SEED ?? 20_261_125);
const PATIENCE_MS = 15;
const AT_ONCE = 8;
const TEXTS = 40;

const stage = sharedStage();
let node: GatewayNode;
let neighbour: Client;

beforeAll(async () => {
  node = await stage.node({ env: UNLIMITED });
  neighbour = await stage.client(node.webSocketUrl, { token: token({ sub: "neighbour" }) });
});

const bearer = { Authorization: `Bearer ${token()}` };

async function sendHttp(parts: readonly Buffer[]): Promise<void> {
  const socket = connect({ port: node.port, host: "127.0.0.1", noDelay: true });
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
  });
  socket.on("error", () => {}); // a reset is an end
  for (const part of parts) {
    socket.write(part);
    await sleep(1);
  }
  await Promise.race([once(socket, "close"), sleep(PATIENCE_MS)]);
  socket.destroy();
  expect(received).not.toMatch(/HTTP\/1\.1 5(?!0[135])/); // 501, 503 and 505 are answers, 500 is a bug
}

async function sendFrames(bytes: Buffer): Promise<void> {
  const socket = await RawWebSocket.open(node.port, "/ws", bearer);
  socket.socket.write(bytes);
  await Promise.race([socket.ended, sleep(PATIENCE_MS)]);
  socket.stop();
  expect(socket.closeCode).not.toBe(4011);
}

/** Each frame of the answer is parsed by the client: what is no JSON fails here. */
async function sendTexts(texts: readonly string[]): Promise<void> {
  const client = await Client.connect(node.webSocketUrl, { token: token() });
  try {
    for (const text of texts) client.send(text);
    expect(await client.request({ type: "ping" })).toMatchObject({ type: "pong" });
  } finally {
    client.stop();
  }
}

test(`${SECONDS} s of random input, FUZZ_SEED=${SEED}`, { timeout: SECONDS * 1_000 + 20_000 }, async () => {
  const random = new Random(SEED);
  const end = performance.now() + SECONDS * 1_000;
  let rounds = 0;
  for (; performance.now() < end; rounds++) {
    const requests = random.times(AT_ONCE, () => http(random));
    const streams = random.times(AT_ONCE, () => frames(random));
    const texts = random.times(TEXTS, () => json(random));
    try {
      await Promise.all([...requests.map(sendHttp), ...streams.map(sendFrames), sendTexts(texts)]);
      expect(await neighbour.request({ type: "ping" })).toMatchObject({ type: "pong" });
      if (rounds % 20 === 0) await expectUnharmed(node);
    } catch (error) {
      throw new Error(`round ${rounds} of FUZZ_SEED=${SEED}`, { cause: error });
    }
  }
  expect(rounds).toBeGreaterThan(SECONDS);
});

test("the node is unharmed", () => expectUnharmed(node));
