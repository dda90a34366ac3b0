import { deflateRawSync } from "node:zlib";
import { beforeAll, describe, expect } from "vitest";
import type { Client } from "../support/client.ts";
import { OPCODE, shake } from "../support/raw.ts";
import { type GatewayNode, sharedStage, test } from "../support/servers.ts";
import { token } from "../support/token.ts";
import { FRAME_CASES } from "./frame-cases.ts";
import { GAPS } from "./frame-gaps.ts";
import { command, observe, wire } from "./frames.ts";
import { expectUnharmed, UNLIMITED } from "./unharmed.ts";

const stage = sharedStage();
let node: GatewayNode;
let neighbour: Client;

beforeAll(async () => {
  node = await stage.node({ env: UNLIMITED });
  neighbour = await stage.client(node.webSocketUrl, { token: token() });
});

async function expectNeighbourWell(): Promise<void> {
  expect(await neighbour.request({ type: "ping" })).toMatchObject({ type: "pong" });
}

describe("frames", () => {
  test.for(FRAME_CASES.filter(({ name }) => !GAPS.has(name)))(
    "$name",
    async ({ bytes, fate, replies, ...options }) => {
      const observed = await observe(node.port, bytes, options);
      await expectNeighbourWell();
      expect(observed).toEqual({ fate, replies: replies ?? observed.replies });
    },
  );
});

describe("frames, known gaps", () => {
  test.for([...GAPS])("%s", async ([name, { why, ...asListed }]) => {
    const asked = FRAME_CASES.find((one) => one.name === name);
    if (!asked) throw new Error(`no case has the name ${name}`);
    expect(why).toMatch(/^RFC 6455 \d/);
    const { bytes, fate, replies, ...options } = asked;
    const observed = await observe(node.port, bytes, options);
    await expectNeighbourWell();
    expect(observed, "when it is as the RFC asks, take it off the list").toEqual(asListed);
    expect(observed).not.toEqual({ fate, replies: replies ?? observed.replies });
  });
});

describe("compression", () => {
  const megabytes = (count: number) => deflateRawSync(Buffer.alloc(count << 20), { level: 9 });
  const nested = deflateRawSync(megabytes(64), { level: 9 });
  const bombs: readonly (readonly [string, Buffer])[] = [
    ["a good text", deflateRawSync(command(15))],
    ["10 MiB of zeros", megabytes(10)],
    ["64 MiB of zeros", megabytes(64).subarray(0, 60_000)],
    ["64 MiB of zeros, twice", nested],
    ["no deflate at all", Buffer.from("?")],
  ];

  test.for([
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=99",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; client_max_window_bits=15, permessage-deflate",
    "x-webkit-deflate-frame",
    "permessage-bzip2",
    ";;;=,",
  ])("offered as %s is not taken, and no compressed frame either", async (offer) => {
    const headers = { "Sec-WebSocket-Extensions": offer };
    const answer = await shake(node.port, headers);
    expect(answer.status).toBe(101);
    expect(answer.headers).not.toHaveProperty("sec-websocket-extensions");
    for (const [what, bytes] of bombs) {
      const compressed = wire(OPCODE.text, bytes, { rsv: 4 });
      expect(await observe(node.port, [compressed], { headers }), what).toEqual({
        fate: "ended",
        replies: [],
      });
    }
    await expectNeighbourWell();
  });
});

test("the node is unharmed", () => expectUnharmed(node));
