import { Redis } from "ioredis";
import { beforeAll, describe, expect } from "vitest";
import type { Client } from "../support/client.ts";
import { exchange, head } from "../support/raw.ts";
import { type GatewayNode, type RedisServer, sharedStage, test } from "../support/servers.ts";
import { token } from "../support/token.ts";
import { Random } from "./random.ts";
import { expectUnharmed, UNLIMITED } from "./unharmed.ts";

/** The one channel that is granted. */
const GRANTED = "room-1:a.b";
const NAMES = 10_000;
const BATCH = 500;

const stage = sharedStage();
let redis: RedisServer;
let node: GatewayNode;
let publisher: Redis;
/** May everything, and hears the granted channel. */
let neighbour: Client;

beforeAll(async () => {
  redis = await stage.redis();
  node = await stage.node({ redis, env: UNLIMITED });
  publisher = new Redis(redis.port);
  stage.add({ stop: () => publisher.disconnect() });
  neighbour = await stage.client(node.webSocketUrl, { token: token(), channels: [GRANTED] });
  await neighbour.next("subscribed");
});

const OTHER_CASE = (c: string) => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase());
/** What NFKC, a case fold or a careless eye makes of them is the letter itself. */
const LOOKALIKES: Readonly<Record<string, readonly string[]>> = {
  r: ["ｒ", "ʳ", "г", "𝐫"],
  o: ["ｏ", "º", "о", "0", "ᴏ"],
  m: ["ｍ", "ⅿ", "м"],
  "-": ["‐", "－", "_", "\u00ad"],
  "1": ["１", "¹", "①", "l"],
  ":": ["：", "ː", ";"],
  a: ["ａ", "ª", "а"],
  ".": ["．", "․", "。", ".."],
  b: ["ｂ", "Ь", "𝐛"],
};
const STRANGERS = [
  "",
  " ",
  "\t",
  "\0",
  "\r\n",
  "\n",
  "\u00a0",
  "\u200b",
  "\u202e",
  "\ufeff",
  "\u0301",
  "\ud800",
  "%",
  "%00",
  "%2e",
  "%2e%2e",
  "/",
  "/../",
  "\\",
  "..",
  "*",
  "**",
  "?",
  "[ab]",
  "[^x]",
  "{a,b}",
  "\\*",
  "#",
  "$",
  "!",
  "&",
  "|",
  ",",
  ";",
  "'",
  '"',
  "`",
  "<",
  ">",
  "@",
  "job:",
  "tidegate:",
  " binary",
  "x",
  "0",
  "-",
  ".",
  ":",
  "_",
];

/** The granted name with one to three changes, and never the name itself. */
function nearMiss(random: Random): string {
  const characters = [...GRANTED];
  for (let changes = 1 + random.below(3); changes > 0; changes--) {
    const at = random.below(characters.length);
    const c = characters[at] ?? "";
    const change = random.below(6);
    if (change === 0) characters[at] = OTHER_CASE(c);
    else if (change === 1) characters[at] = random.of(LOOKALIKES[c] ?? [c]);
    else if (change === 2) characters[at] = `%${c.charCodeAt(0).toString(16)}`;
    else if (change === 3) characters[at] = random.of(["*", "?", "[a-z]", "", `${c}${c}`]);
    else if (change === 4) characters.splice(random.below(characters.length + 1), 0, random.of(STRANGERS));
    else characters.splice(random.of([0, characters.length]), 0, random.of(STRANGERS));
  }
  const name = characters.join("");
  return name === GRANTED ? nearMiss(random) : name;
}

const random = new Random(1);
const names = random.times(NAMES, () => nearMiss(random));
const limited = () => token({ sub: "eve", channels: { [GRANTED]: ["subscribe"] } });
const REFUSED = /^(bad_channel|forbidden|reserved_channel)$/;

/** Sends one frame for each name and gives the code of each answer. */
async function codesOf(client: Client, frame: (name: string) => object): Promise<string[]> {
  const codes = Array<string>(NAMES).fill("no answer");
  for (let at = 0; at < names.length; at += BATCH) {
    const batch = names.slice(at, at + BATCH);
    for (const [i, channel] of batch.entries()) client.send({ ...frame(channel), ref: at + i });
    for (const _ of batch) {
      const answer = await client.next();
      codes[answer.ref as number] = String(answer.code ?? answer.type);
    }
  }
  return codes;
}

const patterns = async () => (await redis.cli("PUBSUB", "NUMPAT")).trim();
const listenedTo = async () =>
  (await redis.cli("PUBSUB", "CHANNELS", "tidegate:*")).split("\n").filter(Boolean);

describe(`${NAMES} names near the one that is granted`, () => {
  test("are refused at each door, reach nobody and open no pattern", async ({ stage }) => {
    const eve = await stage.client(node.webSocketUrl, { token: limited() });
    for (const frame of [
      (channel: string) => ({ type: "subscribe", channel }),
      (channel: string) => ({ type: "subscribe", channels: [{ channel }] }),
      (channel: string) => ({ type: "publish", channel, data: "from eve" }),
      (channel: string) => ({ type: "message", channel, data: "from eve" }),
    ]) {
      const codes = await codesOf(eve, frame);
      expect(codes.filter((code) => !REFUSED.test(code))).toEqual([]);
      // Of both kinds: names that are none, and names of others.
      for (const code of ["bad_channel", "forbidden"]) {
        expect(codes.filter((one) => one === code).length).toBeGreaterThan(NAMES / 20);
      }
    }
    expect(await listenedTo()).toEqual([`tidegate:${GRANTED}`]);
    expect(await patterns()).toBe("0");

    const pipeline = publisher.pipeline();
    for (const name of names) pipeline.publish(`tidegate:${name}`, '"for nobody"');
    const heard = (await pipeline.exec()) ?? [];
    expect(heard).toHaveLength(NAMES);
    expect(heard.filter(([error, listeners]) => error !== null || listeners !== 0)).toEqual([]);

    await publisher.publish(`tidegate:${GRANTED}`, '"for members"');
    await neighbour.next((frame) => frame.data === "for members");
    await eve.request({ type: "ping" });
    expect(eve.frames.filter((frame) => frame.timestamp !== undefined)).toEqual([]);
    expect(neighbour.events(GRANTED).map(({ data }) => data)).toEqual(["for members"]);
  });

  test("are refused in the URL of a handshake", async ({ stage }) => {
    const some = names.filter((_, i) => i % 50 === 0);
    for (let at = 0; at < some.length; at += 20) {
      const channels = some.slice(at, at + 20);
      const eve = await stage.client(node.webSocketUrl, { token: limited(), channels });
      await eve.request({ type: "ping" });
      const codes = eve.frames.slice(1, -1).map(({ type, code }) => String(code ?? type));
      expect(codes.length).toBeGreaterThan(0);
      expect(codes.filter((code) => !REFUSED.test(code))).toEqual([]);
    }
    expect(await listenedTo()).toEqual([`tidegate:${GRANTED}`]);
    expect(await patterns()).toBe("0");
  });

  test("are refused in the path of a request", async () => {
    const body = '{"data":"from eve"}';
    const headers = {
      Host: "127.0.0.1",
      Authorization: `Bearer ${limited()}`,
      "Content-Type": "application/json",
      "Content-Length": String(body.length),
    };
    const before = neighbour.events(GRANTED).length;
    for (const name of names.filter((_, i) => i % 50 === 0)) {
      const encoded = [...Buffer.from(name)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
      const answer = await exchange(
        node.port,
        head(`POST /v1/channels/${encoded}/events HTTP/1.1`, headers) + body,
      );
      expect([400, 403], name).toContain(answer?.status);
    }
    await neighbour.request({ type: "ping" });
    expect(neighbour.events(GRANTED)).toHaveLength(before);
  });
});

test("a token of patterns in Redis's sense grants the letters, not the pattern", async ({ stage }) => {
  for (const pattern of ["room-?:a.b", "room-[01]:a.b", "*oom-1:a.b", "room-*:a.b", "\\*", "**"]) {
    const channels = { [pattern]: ["subscribe"] };
    const eve = stage.client(node.webSocketUrl, { token: token({ channels }), channels: [GRANTED] });
    const answer = await eve.then(
      (client) => client.next(),
      (refused: Error) => ({ code: refused.message }),
    );
    expect(answer.code, pattern).toMatch(/forbidden|token_invalid/);
  }
  expect(await patterns()).toBe("0");
});

test("the node is unharmed", () => expectUnharmed(node));
