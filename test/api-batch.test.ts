import { beforeAll, describe, expect } from "vitest";
import { type GatewayNode, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";
import { ID } from "./tools/id.ts";

const stage = sharedStage();
let node: GatewayNode;

beforeAll(async () => {
  node = await stage.node({
    env: { TIDEGATE_MAX_FRAME_BYTES: "4KiB", TIDEGATE_HISTORY: '{"kept-*":{"size":50,"time":"1m"}}' },
  });
});

interface Result {
  status: number;
  code?: string;
  id?: string;
  [member: string]: unknown;
}

async function send(body: string, options: Parameters<typeof token>[0] = {}): Promise<Response> {
  return await fetch(`${node.url}/v1/batch`, {
    method: "POST",
    headers: { authorization: `Bearer ${token(options)}`, "content-type": "application/json" },
    body,
  });
}

const batch = (events: unknown[], options?: Parameters<typeof token>[0]) =>
  send(JSON.stringify({ events }), options);
const resultsOf = async (answer: Response) => ((await answer.json()) as { results: Result[] }).results;

describe("a batch", () => {
  test("publishes its events, those of a channel in order, and answers each", async ({ stage }) => {
    const client = await stage.client(node.webSocketUrl, { token: token(), channels: ["kept-1", "other"] });
    for (let i = 0; i < 2; i++) await client.next("subscribed");
    const events = Array.from({ length: 50 }, (_, i) => ({
      channel: i % 10 === 9 ? "other" : "kept-1",
      data: i,
    }));
    const answer = await batch(events);
    expect(answer.status).toBe(201);
    const results = await resultsOf(answer);
    expect(results).toHaveLength(50);
    expect(results[0]).toEqual({ status: 201, channel: "kept-1", id: ID, listeners: 1 });
    expect(results[9]).toEqual({ status: 201, channel: "other", listeners: 1 });
    const heard: unknown[] = [];
    for (let i = 0; i < 50; i++) {
      const event = await client.next("message");
      if (event.channel === "kept-1") heard.push(event.data);
    }
    expect(heard).toEqual(events.filter(({ channel }) => channel === "kept-1").map(({ data }) => data));
  });

  test("publishes bytes, as a single request does, to who reads JSON and who reads bytes", async ({
    stage,
  }) => {
    const bytes = Buffer.from([0, 255, 10, 13, 34]);
    const options = { token: token(), channels: ["bytes"] };
    const [reader, binary] = await Promise.all([
      stage.client(node.webSocketUrl, options),
      stage.client(node.webSocketUrl, { ...options, protocols: ["tidegate.v1.binary"] }),
    ]);
    await Promise.all([reader.next("subscribed"), binary.next("subscribed")]);
    const event = { type: "image", data_base64: bytes.toString("base64") };
    expect((await batch([{ channel: "bytes", ...event }])).status).toBe(201);
    const single = await fetch(`${node.url}/v1/channels/bytes/events`, {
      method: "POST",
      headers: { authorization: `Bearer ${token()}`, "content-type": "application/json" },
      body: JSON.stringify(event),
    });
    expect(single.status).toBe(201);
    for (let i = 0; i < 2; i++) {
      expect(await reader.next("image")).toMatchObject({ data_base64: event.data_base64 });
      expect((await binary.next("image")).payload).toEqual(bytes);
    }
  });

  test.for([
    ["what is no base64", { data_base64: "A" }],
    ["base64 without its padding", { data_base64: "AP8" }],
    ["base64 of another alphabet", { data_base64: "_-8i" }],
    ["bytes that are a number", { data_base64: 1 }],
    ["base64 with bits too many", { data_base64: "AB==" }],
    ["bytes beside data", { data: 1, data_base64: "" }],
    ["neither", {}],
  ] as const)("refuses %s", async ([, event]) => {
    const answer = await batch([{ channel: "bytes", ...event }]);
    expect(await resultsOf(answer)).toMatchObject([{ status: 400, code: "bad_event", channel: "bytes" }]);
  });

  test("tells of each event which rule it breaks, and of what channel", async () => {
    const events = [
      1,
      null,
      [],
      {},
      { channel: "a" },
      { channel: "a b", data: 1 },
      { channel: "a", data: 1, data_base64: "" },
    ];
    const results = await resultsOf(await batch(events));
    expect(results.map(({ code, detail, channel }) => [code, detail, channel])).toEqual([
      ["bad_event", "an event is an object", undefined],
      ["bad_event", "an event is an object", undefined],
      ["bad_event", "an event is an object", undefined],
      ["bad_event", "`data` (or `data_base64`) is required", undefined],
      ["bad_event", "`data` (or `data_base64`) is required", "a"],
      ["bad_channel", undefined, undefined],
      ["bad_event", "`data` and `data_base64` exclude each other", "a"],
    ]);
  });

  test("takes bytes up to the largest limit that there is", async ({ stage }) => {
    const large = await stage.node({ env: { TIDEGATE_MAX_FRAME_BYTES: "16MiB" } });
    const publish = (body: string) =>
      fetch(`${large.url}/v1/channels/large/events`, {
        method: "POST",
        headers: { authorization: `Bearer ${token()}`, "content-type": "application/json" },
        body,
      });
    const base64 = Buffer.alloc(12_000_000, 7).toString("base64");
    expect((await publish(`{"data_base64":"${base64}"}`)).status).toBe(201);
    expect((await publish(`{"data_base64":"${base64.slice(0, -1)}*"}`)).status).toBe(400);
  });

  test("passes data on as it was written", async ({ stage }) => {
    const client = await stage.client(node.webSocketUrl, { token: token(), channels: ["raw"] });
    await client.next("subscribed");
    await send(
      '{ "events" : [ {"channel":"raw", "data": 12345678901234567890 }, {"data":{"a" : [1, "]}"]},"channel":"raw"} ] }',
    );
    await client.next("message");
    await client.next("message");
    const texts = client.texts.filter((text) => text.includes('"message"'));
    expect(texts[0]).toContain('"data":12345678901234567890');
    expect(texts[1]).toContain('"data":{"a" : [1, "]}"]}');
  });

  test("with something wrong in it answers 207, with the problem in its place, and publishes the rest", async () => {
    const answer = await batch(
      [
        { channel: "kept-2", data: 1, key: "once" },
        { channel: "kept-2", data: 2, key: "once" },
        { channel: "kept-2", data: 1, key: "once" },
        { channel: "a b", data: 1 },
        { channel: "kept-2" },
        { channel: "kept-2", data: 1, type: "publish" },
        { channel: "kept-2", data: 1, traceparent: "00-1-2-3" },
        { channel: "kept-2", data: 1, key: "" },
        { channel: "secret", data: 1 },
        { channel: "job:1", data: 1 },
        { channel: "kept-2", data: 1, sender: "bob" },
        { channel: "kept-2", data: "x".repeat(5_000) },
        7,
        null,
      ],
      { channels: { "kept-*": ["publish"], "job:*": ["publish"] } },
    );
    expect(answer.status).toBe(207);
    const results = await resultsOf(answer);
    expect(results.map(({ status, code, repeated }) => code ?? (repeated ? "repeated" : status))).toEqual([
      201,
      "key_reused",
      "repeated",
      "bad_channel",
      "bad_event",
      "bad_event",
      "bad_event",
      "bad_key",
      "forbidden",
      "reserved_channel",
      "forbidden",
      "too_big",
      "bad_event",
      "bad_event",
    ]);
    expect(results[1]).toMatchObject({
      status: 409,
      type: "urn:tidegate:problem:key_reused",
      temporary: false,
    });
    expect(results[2]?.id).toBe(results[0]?.id);
    expect(results[8]).toMatchObject({ status: 403, channel: "secret" });
  });

  test.for([
    ["no object", "[]", 400, "bad_frame"],
    ["no list", '{"events":{}}', 400, "bad_frame"],
    ["nothing", "{}", 400, "bad_frame"],
    ["an empty list", '{"events":[]}', 400, "bad_frame"],
    ["101 events", JSON.stringify({ events: Array(101).fill({ channel: "a", data: 1 }) }), 400, "bad_frame"],
    ["over a megabyte", `{"events":["${"x".repeat(1024 * 1024)}"]}`, 413, "too_big"],
    ["too deep", `{"events":[${"[".repeat(60)}${"]".repeat(60)}]}`, 400, "too_complex"],
    ["cut off", '{"events":[{"channel":"a","data":1}', 400, "bad_frame"],
  ] as const)("of %s is refused as a whole", async ([, body, status, code]) => {
    const answer = await send(body);
    expect([answer.status, ((await answer.json()) as Result).code]).toEqual([status, code]);
  });

  test("needs a token, and JSON", async () => {
    const bare = await fetch(`${node.url}/v1/batch`, { method: "POST", body: "{}" });
    expect(bare.status).toBe(401);
    const authorization = `Bearer ${token()}`;
    const form = await fetch(`${node.url}/v1/batch`, {
      method: "POST",
      headers: { authorization },
      body: "{}",
    });
    expect(form.status).toBe(415);
  });
});
