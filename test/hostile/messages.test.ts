import { createHmac } from "node:crypto";
import { beforeAll, describe, expect } from "vitest";
import { until } from "../../deploy/local/process.ts";
import type { Client } from "../support/client.ts";
import { exchange, head, problem } from "../support/raw.ts";
import { type GatewayNode, type Stage, sharedStage, test } from "../support/servers.ts";
import { SECRET, token } from "../support/token.ts";
import { expectUnharmed, UNLIMITED } from "./unharmed.ts";

const stage = sharedStage();
let node: GatewayNode;
let neighbour: Client;

beforeAll(async () => {
  const limits = { TIDEGATE_MAX_JSON_DEPTH: "32", TIDEGATE_MAX_JSON_KEYS: "1000" };
  node = await stage.node({ env: { ...UNLIMITED, ...limits } });
  neighbour = await stage.client(node.webSocketUrl, { token: token() });
});

const FRAME_BYTES = 65_536;
const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
const keys = (count: number) => `{${Array.from({ length: count }, (_, i) => `"${i}":0`).join(",")}}`;
const publish = (rest: string) => `{"type":"publish","channel":"room",${rest}}`;
const ping = (ref: string) => `{"type":"ping","ref":${ref}}`;

/** Each is answered by one error, and the connection lives. */
const REFUSED: readonly (readonly [name: string, text: string, code: string])[] = [
  ["a depth of 10,000 in data", publish(`"data":${nested(10_000)}`), "too_complex"],
  ["a depth of 32,000 in a key nobody reads", `{"type":"ping","x":${nested(32_000)}}`, "too_complex"],
  [
    "objects nested 5,000 times",
    publish(`"data":${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}`),
    "too_complex",
  ],
  ["one level too many", publish(`"data":${nested(32)}`), "too_complex"],
  ["one key too many", publish(`"data":${keys(998)}`), "too_complex"],
  ["6,000 keys", publish(`"data":${keys(6_000)}`), "too_complex"],
  ["6,000 keys beside the type", `{"type":"ping",${keys(6_000).slice(1)}`, "too_complex"],
  ["64 KiB of [", "[".repeat(FRAME_BYTES), "too_complex"],
  ["64 KiB of {", "{".repeat(FRAME_BYTES), "too_complex"],
  ['64 KiB of {"a":', '{"a":'.repeat(13_000), "too_complex"],
  ['64 KiB of "', '"'.repeat(FRAME_BYTES), "bad_frame"],
  ["64 KiB of backslashes in a string", `{"type":"${"\\".repeat(65_000)}"}`, "unknown_type"],
  ["a string of 64 KiB without its end", `{"type":"${"x".repeat(65_000)}`, "bad_frame"],
  ["a number of 64 KiB", "1".repeat(FRAME_BYTES), "bad_frame"],
  ["64 KiB of spaces", " ".repeat(FRAME_BYTES), "bad_frame"],
  ["a type of 64 KiB", `{"type":"${"x".repeat(65_000)}"}`, "unknown_type"],
  ["a BOM", `\ufeff${ping("1")}`, "bad_frame"],
  ["a letter behind it", `${ping("1")}x`, "bad_frame"],
  ["a second object behind it", `${ping("1")}${ping("2")}`, "bad_frame"],
  ["NUL behind it", `${ping("1")}\0`, "bad_frame"],
  ["NUL before it", `\0${ping("1")}`, "bad_frame"],
  ["a no-break space before it", `\u00a0${ping("1")}`, "bad_frame"],
  ["a list of commands", `[${ping("1")}]`, "bad_frame"],
  ["a string", '"ping"', "bad_frame"],
  ["single quotes", "{'type':'ping'}", "bad_frame"],
  ["a comment", '{"type":"ping"/**/}', "bad_frame"],
  ["a comma too many", '{"type":"ping",}', "bad_frame"],
  ["a line break in a string", '{"type":"pi\nng"}', "bad_frame"],
  ["a bad escape", '{"type":"\\x70ing"}', "bad_frame"],
  ["NaN", '{"type":"ping","ref":NaN}', "bad_frame"],
  ["a leading zero", '{"type":"ping","ref":01}', "bad_frame"],
  ...[
    "1e999",
    "-1e999",
    "1e-7",
    "9007199254740992",
    "-1",
    "null",
    "true",
    "[]",
    "{}",
    `"${"x".repeat(65)}"`,
  ].map((ref) => [`ref ${ref.slice(0, 20)}`, ping(ref), "bad_frame"] as const),
  ["a type that is a list", '{"type":["ping"]}', "unknown_type"],
  ["a type in capitals", '{"type":"PING"}', "unknown_type"],
  ["a type with a space", '{"type":"ping "}', "unknown_type"],
  ["a type with NUL", '{"type":"ping\\u0000"}', "unknown_type"],
  ["a lone surrogate as type", '{"type":"\\ud800"}', "unknown_type"],
  ["a lone surrogate in a channel", '{"type":"subscribe","channel":"room\\udc00"}', "bad_channel"],
  ["a lone surrogate in an event's type", publish('"event":{"type":"a\\ud800","data":1}'), "bad_event"],
  ["a channel that is a list", '{"type":"subscribe","channel":["room"]}', "bad_channel"],
  ["a channel that is a number", '{"type":"subscribe","channel":1}', "bad_channel"],
  ["channels that are a string", '{"type":"subscribe","channels":"room"}', "bad_frame"],
  [
    "channels that look like a list",
    '{"type":"subscribe","channels":{"length":1,"0":{"channel":"room"}}}',
    "bad_frame",
  ],
  ["1,001 channels", `{"type":"subscribe","channels":[${Array(1_001).fill("0").join()}]}`, "bad_frame"],
  ["an event that is a list", publish('"event":[1]'), "bad_event"],
  ["an event that is text", publish('"event":"x"'), "bad_event"],
  ...[
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "valueOf",
    "__defineGetter__",
  ].map((type) => [`type ${type}`, `{"type":"${type}"}`, "unknown_type"] as const),
  ["a type by way of __proto__", '{"__proto__":{"type":"ping","ref":1}}', "unknown_type"],
  ["a type by way of constructor", '{"constructor":{"prototype":{"type":"ping"}}}', "unknown_type"],
  ["a channel by way of __proto__", '{"type":"subscribe","__proto__":{"channel":"room"}}', "bad_channel"],
  [
    "channels by way of __proto__",
    '{"type":"subscribe","__proto__":{"channels":[{"channel":"room"}]}}',
    "bad_channel",
  ],
  ["data by way of __proto__", publish('"__proto__":{"data":1}'), "bad_event"],
  ["an event's data by way of __proto__", publish('"event":{"__proto__":{"data":1}}'), "bad_event"],
  ["channel __proto__", '{"type":"subscribe","channel":"__proto__"}', "bad_channel"],
  ["event type __proto__", publish('"event":{"type":"__proto__","data":1}'), "bad_event"],
  ["a token that is an object", '{"type":"auth","token":{"toString":"x"}}', "bad_frame"],
  ["a token of 60 KiB", `{"type":"auth","token":"${"x".repeat(60_000)}"}`, "token_invalid"],
];

async function member(stage: Stage): Promise<Client> {
  const client = await stage.client(node.webSocketUrl, { token: token(), channels: ["room"] });
  await client.next("subscribed");
  return client;
}

async function expectWell(...clients: Client[]): Promise<void> {
  for (const client of clients)
    expect(await client.request({ type: "ping" })).toMatchObject({ type: "pong" });
}

describe("a frame", () => {
  test.for(REFUSED)("with %s is an error, and the connection lives", async ([, text, code], { stage }) => {
    const client = await member(stage);
    client.send(text);
    expect(await client.next()).toMatchObject({ type: "error", code });
    await expectWell(client, neighbour);
    expect(client.events("room")).toEqual([]);
  });

  test("of 50,000 keys is over the limit of bytes, and ends the connection", async ({ stage }) => {
    const client = await member(stage);
    client.send(publish(`"data":${keys(50_000)}`));
    expect(await client.closed).toMatchObject({ code: 1006 });
    await expectWell(neighbour);
  });

  test.for<[name: string, rest: string, delivered: string]>([
    ["the depth that is allowed", `"data":${nested(31)}`, nested(31)],
    ["data twice", '"data":1,"data":2', "2"],
    ["data twice, once in escapes", '"data":1,"d\\u0061ta":2', "2"],
    ["an event twice", '"event":{"data":1},"event":{"data":2}', "2"],
    ["a number beyond all", '"data":1e999', "1e999"],
    ["lone surrogates", '"data":"\\ud800\\udc00\\udc00\\ud800"', '"\\ud800\\udc00\\udc00\\ud800"'],
    ["__proto__ in data", '"data":{"__proto__":{"admin":true}}', '{"__proto__":{"admin":true}}'],
    [
      "what looks like an event's end",
      '"data":"\\"}],\\"sender\\":\\"eve\\""',
      '"\\"}],\\"sender\\":\\"eve\\""',
    ],
    ["a sender beside it", '"data":1,"sender":"eve"', "1"],
    ["a timestamp beside it", '"data":1,"timestamp":"2000-01-01T00:00:00Z"', "1"],
  ])("with %s is published as it stands, in the name of its author", async ([, rest, data], { stage }) => {
    const client = await member(stage);
    client.send(publish(rest));
    const event = await client.next("message");
    expect(client.texts.at(-1)).toContain(`,"data":${data},"sender":"user-1"}`);
    expect(event.sender).toBe("user-1");
    expect(Date.parse(event.timestamp as string)).toBeGreaterThan(Date.now() - 60_000);
    await expectWell(client, neighbour);
  });

  test("with a channel twice means the last one, for the grant too", async ({ stage }) => {
    const channels = { room: ["subscribe", "publish"] };
    const client = await stage.client(node.webSocketUrl, { token: token({ channels }) });
    client.send('{"type":"subscribe","channel":"room","channel":"secret","ref":1}');
    expect(await client.next()).toMatchObject({ code: "forbidden", channel: "secret" });
    client.send('{"type":"publish","channel":"room","ch\\u0061nnel":"secret","data":1,"ref":2}');
    expect(await client.next()).toMatchObject({ code: "forbidden", channel: "secret" });
  });
});

describe("names that every object has", () => {
  const names = ["constructor", "toString", "hasOwnProperty", "valueOf", "isPrototypeOf"];

  test.for(names)("are names like others: channel and event type %s", async (name, { stage }) => {
    const channels = { [name]: ["subscribe", "publish"] };
    const client = await stage.client(node.webSocketUrl, { token: token({ channels }) });
    expect(await client.request({ type: "subscribe", channel: name })).toMatchObject({ type: "subscribed" });
    await client.request({ type: "publish", channel: name, event: { type: name, data: 1 } });
    await client.request({ type: "ping" });
    expect(client.events(name)).toMatchObject([{ type: name, data: 1 }]);
    expect(await client.request({ type: "unsubscribe", channel: name })).toMatchObject({
      type: "unsubscribed",
    });
  });

  test.for([...names, "__proto__"])("grant nothing, and are users: %s", async (name, { stage }) => {
    const none = await stage.client(node.webSocketUrl, { token: token({ sub: name, channels: {} }) });
    expect(none.frames[0]).toMatchObject({ user: name });
    for (const channel of names) {
      expect(await none.request({ type: "subscribe", channel })).toMatchObject({ code: "forbidden" });
    }
    const Authorization = `Bearer ${token({ claims: { admin: ["connections"] } })}`;
    const path = `GET /v1/users/${name}/connections HTTP/1.1`;
    await until(`${name} is counted`, async () => {
      const answer = await exchange(node.port, head(path, { Host: "127.0.0.1", Authorization }));
      const { user, connections } = JSON.parse(answer?.body ?? "") as Record<string, unknown>;
      return user === name && connections === 1;
    });
  });

  test.for([
    '"__proto__":{"admin":["*"]}',
    '"constructor":{"prototype":{"admin":["*"]}}',
    '"claims":{"admin":["*"]}',
  ])("make nobody an admin, in a token or beside it: %s", async (claim) => {
    // By hand: the library that signs our tokens does not take every claim.
    const part = (json: string) => Buffer.from(json).toString("base64url");
    const exp = Math.floor(Date.now() / 1000) + 60;
    const signed = `${part('{"alg":"HS256"}')}.${part(`{"sub":"ann","exp":${exp},${claim}}`)}`;
    const signature = createHmac("sha256", SECRET).update(signed).digest("base64url");
    const headers = {
      Host: "127.0.0.1",
      Authorization: `Bearer ${signed}.${signature}`,
      ["__proto__"]: "admin",
      "X-Admin": "*",
    };
    const line = "GET /v1/users/ann/connections?__proto__[admin]=*&admin=* HTTP/1.1";
    const answer = await exchange(node.port, head(line, headers));
    expect([answer?.status, answer && problem(answer)]).toMatchObject([403, { code: "forbidden" }]);
  });
});

describe("an HTTP body", () => {
  const post = async (body: string) => {
    const headers = {
      Host: "127.0.0.1",
      Authorization: `Bearer ${token()}`,
      "Content-Type": "application/json",
      "Content-Length": String(Buffer.byteLength(body)),
    };
    return exchange(node.port, head("POST /v1/channels/room/events HTTP/1.1", headers) + body);
  };

  test.for<[name: string, body: string, status: number]>([
    ["a depth of 10,000", `{"data":${nested(10_000)}}`, 400],
    ["64 KiB of [", "[".repeat(FRAME_BYTES), 400],
    ["6,000 keys", `{"data":${keys(6_000)}}`, 400],
    ["50,000 keys", `{"data":${keys(50_000)}}`, 413],
    ["a BOM", '\ufeff{"data":1}', 400],
    ["bytes behind it", '{"data":1}\0', 400],
    ["nothing", "", 400],
    ["null", "null", 400],
    ["data by way of __proto__", '{"__proto__":{"data":1}}', 400],
    ["event type __proto__", '{"type":"__proto__","data":1}', 400],
    ["another channel in it, which is not read", '{"channel":"secret","data":1}', 201],
  ])("with %s", async ([, body, status]) => {
    expect((await post(body))?.status).toBe(status);
    await expectWell(neighbour);
  });
});

test("the node is unharmed", () => expectUnharmed(node));
