import { isUtf8 } from "node:buffer";
import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { CONTROL_WORDS } from "../src/protocol/event.ts";
import { parseId } from "../src/protocol/position.ts";
import { backplanes, dataOf, type Ear, offsetsOf, overRedis, settle, textOf } from "./support/backplanes.ts";
import { test } from "./support/servers.ts";

/* What any client of Redis may call: FCALL tidegate_publish. */

const { redis } = backplanes();
let client: Redis;

beforeAll(async () => {
  client = new Redis(redis().url);
  await overRedis(redis)("loads"); // as every node does
});

afterAll(() => {
  client.disconnect();
});

type Argument = string | Buffer;

/** @returns the id @throws {Error} of Redis */
async function publish(channel: string, ...args: Argument[]): Promise<string> {
  return String(await client.call("FCALL", "tidegate_publish", "1", channel, ...args));
}

/** What the call fails with; "" when it does not. */
async function failure(...args: Argument[]): Promise<string> {
  return await client.call("FCALL", "tidegate_publish", ...args).then(
    () => "",
    (error: unknown) => (error as Error).message,
  );
}

let nodes = 0;

/** A node's ear on a channel. */
async function listener(channel: string): Promise<{ ear: Ear; prefix: string }> {
  const prefix = `public${++nodes}`;
  const ear = await overRedis(redis)(prefix);
  await ear.backplane.subscribe(channel);
  return { ear, prefix };
}

describe("tidegate_publish", () => {
  test("reaches nodes as an event with an id, which the history keeps", async () => {
    const { ear, prefix } = await listener("chat");
    const data = '{ "text":"Grüße, 世界 👋","big":12345678901234567890, "a":1,"a":2}';
    const ids = [
      await publish(`${prefix}:chat`, "", data),
      await publish(`${prefix}:chat`, "order.placed", "null"),
    ];
    await settle(ear);
    expect(
      ear.heard.map((event) => textOf(event).replace(/"timestamp":"[^"]{24}"/, '"timestamp":T')),
    ).toEqual([
      `{"type":"message","channel":"chat","id":"${ids[0]}","timestamp":T,"data":${data}}`,
      `{"type":"order.placed","channel":"chat","id":"${ids[1]}","timestamp":T,"data":null}`,
    ]);
    expect(ids.map((id) => parseId(id)?.offset)).toEqual([1, 2]);
    const { events } = await ear.backplane.readAfter("chat", 0, 10);
    expect(events.map(textOf)).toEqual(ear.heard.map(textOf));
  });

  test("with a key publishes once, and gives the same id again", async () => {
    const { ear, prefix } = await listener("chat");
    const channel = `${prefix}:chat`;
    const key = "\u0000any bytes, up to 128: ".padEnd(128, "x");
    const id = await publish(channel, "order", "1", key);
    expect(await publish(channel, "order", "1", key)).toBe(id);
    for (const other of [
      ["order", "2"],
      ["orders", "1"],
    ] as const) {
      expect(await failure("1", channel, ...other, key)).toMatch(/^TIDEGATE key_reused \w/);
    }
    await settle(ear);
    expect(dataOf(ear.heard)).toEqual([1]);
    // A node's publishers have theirs.
    const scoped = { name: key, scope: "ann" };
    const more = { sender: undefined, except: undefined, key: scoped };
    const own = await ear.backplane.publish({ channel: "chat", type: "order", data: "1", ...more });
    expect(own.repeated).toBe(false);
  });

  test("answers nothing where no history is kept, and is heard all the same", async () => {
    const { ear, prefix } = await listener("none-1");
    expect(await publish(`${prefix}:none-1`, "", "1", "key")).toBe("");
    expect(await publish(`${prefix}:none-1`, "", "1", "key")).toBe("");
    await settle(ear);
    expect(dataOf(ear.heard)).toEqual([1]);
    expect(ear.heard[0]?.position).toBeUndefined();
  });

  test("keeps as much as the nodes say", async () => {
    const { ear, prefix } = await listener("few-1");
    for (let i = 1; i <= 8; i++) await publish(`${prefix}:few-1`, "", String(i));
    expect(offsetsOf((await ear.backplane.readAfter("few-1", 0, 100)).events)).toEqual([4, 5, 6, 7, 8]);
  });

  const channel = "refused:chat";
  const long = `refused:${"c".repeat(201)}`;
  const cases: [why: string, code: string, ...args: Argument[]][] = [
    ["no channel", "bad_channel", "0", "", "1"],
    ["two channels", "bad_channel", "2", channel, "refused:other", "", "1"],
    ["a channel without a prefix", "bad_channel", "1", "chat", "", "1"],
    ["a prefix without a channel", "bad_channel", "1", "refused:", "", "1"],
    ["no prefix", "bad_channel", "1", ":chat", "", "1"],
    ["a channel that begins with a dot", "bad_channel", "1", "refused:.chat", "", "1"],
    ["a channel with a space", "bad_channel", "1", "refused:chat 1", "", "1"],
    ["a channel with an umlaut", "bad_channel", "1", "refused:grüße", "", "1"],
    ["a channel with a zero byte", "bad_channel", "1", "refused:chat\u0000", "", "1"],
    ["a channel with a line break", "bad_channel", "1", "refused:chat\n", "", "1"],
    ["a channel of 201 characters", "bad_channel", "1", long, "", "1"],
    ["a channel of the gateway", "reserved_channel", "1", "refused:job:1", "", "1"],
    ["no data", "bad_event", "1", channel, ""],
    ["nothing at all", "bad_event", "1", channel],
    ["one argument too many", "bad_event", "1", channel, "", "1", "key", "more"],
    ["a type that begins with a digit", "bad_event", "1", channel, "1st", "1"],
    ["a type that begins with a dollar", "bad_event", "1", channel, "$join", "1"],
    ["a type with a space", "bad_event", "1", channel, "or der", "1"],
    ["a type with a quotation mark", "bad_event", "1", channel, 'order"', "1"],
    ["a type with a zero byte", "bad_event", "1", channel, "order\u0000", "1"],
    ["a type of 65 characters", "bad_event", "1", channel, "t".repeat(65), "1"],
    ["an empty key", "bad_key", "1", channel, "", "1", ""],
    ["a key of 129 bytes", "bad_key", "1", channel, "", "1", "k".repeat(129)],
    ["data over the limit", "too_big", "1", channel, "", JSON.stringify("x".repeat(65_535))],
    ...[...CONTROL_WORDS].map((word): [string, string, ...Argument[]] => [
      `the control word ${word} as its type`,
      ...(["bad_event", "1", channel, word, "1"] as const),
    ]),
  ];

  test.for(cases)("refuses %s as %s", async ([, code, ...args]) => {
    expect(await failure(...args)).toMatch(new RegExp(`^TIDEGATE ${code} [a-zA-Z]`));
    expect(await client.exists("refused.meta:{refused:chat}"), "nothing was published").toBe(0);
  });

  test("takes what is just within the limits", async () => {
    const name = "c".repeat(200);
    const { ear, prefix } = await listener(name);
    await publish(`${prefix}:${name}`, "t".repeat(64), "1");
    await publish(`${prefix}:${name}`, "", JSON.stringify("x".repeat(65_534)));
    await settle(ear);
    expect(ear.heard).toHaveLength(2);
  });
});

describe("data of tidegate_publish", () => {
  const notJson = [
    ...[
      "",
      " ",
      "hi",
      "NaN",
      "Infinity",
      "-Infinity",
      "nan",
      "0x1F",
      "007",
      "-",
      "+1",
      "1.",
      ".5",
      "1e",
      "1e+",
    ],
    ...["--1", "1 2", "{'a':1}", '{"a":1', '{"a":1}}', '{"a":1,}', "[1,]", "[,1]", "[1 2]", "{a:1}", "{1:2}"],
    ...[
      '{"a" 1}',
      '{"a":}',
      "{,}",
      "[",
      "]",
      "}",
      '"',
      '"a',
      "'a'",
      '"\\x41"',
      '"\\u12"',
      '"\\u12G4"',
      '"\\"',
    ],
    ...[
      '"line\nbreak"',
      '"tab\there"',
      '"zero\u0000byte"',
      "1\u0000",
      '\ufeff{"a":1}',
      "\u00a01",
      "1\f",
      "1\v",
    ],
    ...[
      "tru",
      "True",
      "nul",
      "undefined",
      "true false",
      "// 1\n1",
      "/**/1",
      '{"a":NaN}',
      "[Infinity]",
      '["a":1]',
    ],
    ...['{"a":"b":"c"}', '{"a","b"}', '"a" "b"', "1e5.5", "0b1", "1_000", "٣"],
  ];
  /** JSON.parse takes them; Redis does not, and a client is better off without. */
  const beyondRedis = ['"\\ud800"', '"\\udc00\\ud800"', "[".repeat(1_001) + "]".repeat(1_001)];
  const notUtf8 = [
    Buffer.from('"J\xfcrgen"', "latin1"),
    Buffer.from('"\xed\xa0\x80"', "latin1"),
    Buffer.from('"\xc0\xaf"', "latin1"),
    Buffer.from('"\xe4\xb8"', "latin1"),
    Buffer.from('"\xf5\x80\x80\x80"', "latin1"),
    Buffer.from('"\xf4\x90\x80\x80"', "latin1"),
    Buffer.from('"\x80"', "latin1"),
  ];

  test.for([...notJson, ...beyondRedis, ...notUtf8])(
    "is refused when it is not JSON: %.60s",
    async (data) => {
      expect(await failure("1", "refused:chat", "", data)).toMatch(/^TIDEGATE bad_event data/);
    },
  );

  const json = [
    ...[
      "0",
      "-0",
      "1e999",
      "1.50E+07",
      "12345678901234567890",
      "-0.0e-0",
      "true",
      "false",
      "null",
      '""',
      "{}",
    ],
    ...[
      "[]",
      ' \t\n\r[ 1 , { "a" : [ ] } ]\n',
      '{"a":1,"a":2}',
      '{"__proto__":{"admin":true}}',
      '{"":{"":""}}',
    ],
    ...[
      '"\\u0000 \\n \\" \\\\ \\/"',
      '"\\\\"',
      '["\\\\","\\""]',
      '"\u2028\u2029\u007f\u0080"',
      '"Grüße, 世界 👋"',
    ],
    ...['"[1,2"', '"{\\"a\\":NaN}"', '{"NaN":"0x1F"}', '"\ufeff"', "[".repeat(500) + "]".repeat(500)],
    '"\\ud83d\\ude00"',
  ];

  test("is delivered exactly as it stands when it is JSON", async () => {
    const { ear, prefix } = await listener("chat");
    for (const data of json) await publish(`${prefix}:chat`, "", data);
    await until("all came", () => ear.heard.length === json.length);
    expect(ear.heard.map((event) => textOf(event).replace(/^.*?"timestamp":"[^"]{24}"/s, ""))).toEqual(
      json.map((data) => `,"data":${data}}`),
    );
  });

  const fragment = fc.oneof(
    fc.constantFrom(
      ...'[]{}:,"\\ \n\t01-+.eE',
      '"a"',
      "true",
      "false",
      "null",
      "NaN",
      "0x1",
      "\\u00e9",
      "\\n",
    ),
    fc.constantFrom("é", "世", "\u0000", "\u001f", "\u007f", "\ufeff", "1.5", "-0", "1e9", '{"a":', '"b":1}'),
    fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes)),
  );
  const soup = fc
    .array(fragment, { maxLength: 12 })
    .map((parts) => Buffer.concat(parts.map((p) => Buffer.from(p))));
  const damaged = fc.tuple(fc.json({ maxDepth: 4 }), fc.nat(), fragment).map(([text, at, other]) => {
    const bytes = Buffer.from(text);
    const index = at % (bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, index), Buffer.from(other), bytes.subarray(index + (at % 2))]);
  });
  const whole = fc.json({ maxDepth: 4 }).map((text) => Buffer.from(text));

  test("is taken where JSON.parse takes it, and nowhere else", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(soup, damaged, whole), { minLength: 20, maxLength: 20 }),
        async (all) => {
          const failures = await Promise.all(all.map((data) => failure("1", "fuzz:chat", "", data)));
          for (const [i, data] of all.entries())
            expect(failures[i] === "", data.toString("latin1")).toBe(isJson(data));
        },
      ),
      { numRuns: Number(process.env.FUZZ_RUNS ?? 200) },
    );
  });
});

function isJson(data: Buffer): boolean {
  if (!isUtf8(data)) return false;
  try {
    JSON.parse(data.toString());
    // Redis takes no half of a surrogate pair.
    return !/\\u[dD][89a-fA-F]/.test(data.toString().replaceAll("\\\\", ""));
  } catch {
    return false;
  }
}
