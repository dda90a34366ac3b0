import { describe, expect, it } from "vitest";
import type { Command } from "../src/protocol/commands.ts";
import { decodeCommand as decode } from "../src/schema/decode.ts";
import { decodeCommand, LIMITS, refusal } from "./tools/decode.ts";

const publish = {
  type: "publish",
  ref: undefined,
  channel: "chat-123",
  eventType: "message",
  echo: true,
  sender: undefined,
  key: undefined,
};

describe("decodeCommand, well-formed frames", () => {
  it.each<[string, string, Command]>([
    ["auth", '{"type":"auth","token":"a.b.c","ref":1}', { type: "auth", ref: 1, token: "a.b.c" }],
    [
      "subscribe to one channel",
      '{"type":"subscribe","channel":"chat-123"}',
      { type: "subscribe", ref: undefined, channels: [{ channel: "chat-123", start: undefined }] },
    ],
    [
      "subscribe to many channels",
      '{"type":"subscribe","channels":[{"channel":"a"},{"channel":"b"}],"ref":"s"}',
      {
        type: "subscribe",
        ref: "s",
        channels: [
          { channel: "a", start: undefined },
          { channel: "b", start: undefined },
        ],
      },
    ],
    [
      "subscribe behind an event, and some events back",
      '{"type":"subscribe","channels":[{"channel":"a","since":"e-c:7"},{"channel":"b","last":1000}]}',
      {
        type: "subscribe",
        ref: undefined,
        channels: [
          { channel: "a", start: { since: { epoch: "e", check: "c", offset: 7 } } },
          { channel: "b", start: { last: 1000 } },
        ],
      },
    ],
    [
      "history",
      '{"type":"history","channel":"a","before":"e-c:7","limit":1,"ref":0}',
      {
        type: "history",
        ref: 0,
        channel: "a",
        query: { since: undefined, before: { epoch: "e", check: "c", offset: 7 }, limit: 1 },
      },
    ],
    [
      "history without bounds",
      '{"type":"history","channel":"a"}',
      {
        type: "history",
        ref: undefined,
        channel: "a",
        query: { since: undefined, before: undefined, limit: 100 },
      },
    ],
    [
      "publish with an idempotency key",
      '{"type":"publish","channel":"chat-123","data":1,"key":"order-7/created"}',
      { ...publish, type: "publish", data: "1", key: "order-7/created" },
    ],
    [
      "unsubscribe",
      '{"type":"unsubscribe","channel":"chat-123","ref":0}',
      { type: "unsubscribe", ref: 0, channel: "chat-123" },
    ],
    ["ping", '{"type":"ping"}', { type: "ping", ref: undefined }],
    [
      "publish in its short form",
      '{"type":"publish","channel":"chat-123","data":{"n":1}}',
      { ...publish, type: "publish", data: '{"n":1}' },
    ],
    [
      "publish in its long form",
      '{"type":"publish","channel":"chat-123","ref":7,"echo":false,"event":{"type":"room.moved","data":[1, 2],"sender":"bob"}}',
      {
        type: "publish",
        ref: 7,
        channel: "chat-123",
        eventType: "room.moved",
        data: "[1, 2]",
        echo: false,
        sender: "bob",
        key: undefined,
      },
    ],
    ["white space around everything", ' \r\n\t{ "type" : "ping" , "ref" : 3 } \n', { type: "ping", ref: 3 }],
    [
      "fields that nobody knows",
      '{"type":"ping","colour":"red","nested":{"type":"auth"}}',
      { type: "ping", ref: undefined },
    ],
  ])("reads %s", (_what, text, command) => {
    expect(decodeCommand(text)).toEqual(command);
  });

  it.each(["null", "true", "0", '""', "[]", "{}", "-0.0e+0", '"\\ud800"'])(
    "takes %s as data, as it was written",
    (data) => {
      const command = decodeCommand(`{"type":"publish","channel":"chat-123","data": ${data} }`);
      expect(command).toMatchObject({ data });
    },
  );

  it("keeps numbers, escapes and spaces of the data as the client wrote them", () => {
    const data = '{ "big":12345678901234567890, "e":1e999, "s":"\\u0041\\/", "d":1.0 }';
    const command = decodeCommand(`{"type":"publish","channel":"chat-123","event":{"data":${data}}}`);
    expect(command).toMatchObject({ data });
  });

  it("takes the last of a key that occurs twice, for itself and for the data alike", () => {
    const text = '{"type":"ping","channel":"a","data":1,"type":"publish","channel":"b","data":2}';
    expect(decodeCommand(text)).toMatchObject({ type: "publish", channel: "b", data: "2" });
  });

  it("reads a key that is written with escapes", () => {
    const text = '{"\\u0074ype":"publish","channel":"a","d\\u0061ta":"x"}';
    expect(decodeCommand(text)).toMatchObject({ type: "publish", data: '"x"' });
  });

  it("echoes to the publisher unless `echo` is exactly false", () => {
    const echoOf = (echo: string) =>
      decodeCommand(`{"type":"publish","channel":"a","data":1,"echo":${echo}}`);
    expect(echoOf("false")).toMatchObject({ echo: false });
    expect(echoOf("true")).toMatchObject({ echo: true });
    expect(echoOf("null")).toMatchObject({ echo: true });
  });

  it("takes a binary frame's bytes as the data of its publish", () => {
    const payload = Uint8Array.of(0, 255, 34);
    const command = decodeCommand('{"type":"publish","channel":"a","event":{"type":"image"}}', payload);
    expect(command).toMatchObject({ eventType: "image", data: payload });
  });
});

describe("decodeCommand, the articles' message form", () => {
  it("publishes the frame of the article, its other keys being the data", () => {
    expect(decodeCommand('{ "type": "message", "text": "Hi back!" }')).toEqual({
      ...publish,
      channel: undefined,
      data: '{"text":"Hi back!"}',
    });
  });

  it("names the channel when the client does", () => {
    const command = decodeCommand('{"type":"message","channel":"chat-123","text":"hi","ref":1,"echo":false}');
    expect(command).toEqual({ ...publish, ref: 1, echo: false, data: '{"text":"hi"}' });
  });

  it("takes `data` alone when there is one", () => {
    const command = decodeCommand('{"type":"message","text":"not this","data":{"text":"this"}}');
    expect(command).toMatchObject({ data: '{"text":"this"}' });
  });

  it("publishes an empty object when nothing is left", () => {
    expect(decodeCommand('{"type":"message"}')).toMatchObject({ data: "{}" });
  });

  it("leaves keys and values as they were written", () => {
    const command = decodeCommand('{"type":"message", "__proto__" : {"x":1}, "n": 1.50, "\\u0061":[ ] }');
    expect(command).toMatchObject({ data: '{"__proto__":{"x":1},"n":1.50,"\\u0061":[ ]}' });
  });
});

describe("decodeCommand, refs", () => {
  it.each(["0", "9007199254740991", '""', `"${"r".repeat(64)}"`, "1e3", '"\\ud800"'])(
    "takes the ref %s",
    (ref) => {
      expect(decodeCommand(`{"type":"ping","ref":${ref}}`)).toMatchObject({ ref: JSON.parse(ref) });
    },
  );

  it.each(["-1", "1.5", "9007199254740992", "1e999", "null", "true", "[]", "{}", `"${"r".repeat(65)}"`])(
    "refuses the ref %s and does not repeat it",
    (ref) => {
      const error = refusal(`{"type":"ping","ref":${ref}}`);
      expect(error).toMatchObject({ code: "bad_frame", ref: undefined });
      expect(error.message).toContain("`ref`");
    },
  );

  it("brings back the ref of a frame that is refused for something else", () => {
    expect(refusal('{"type":"subscribe","channel":"no name","ref":"r"}').ref).toBe("r");
    expect(refusal('{"ref":5}').ref).toBe(5);
  });
});

describe("decodeCommand, malformed frames", () => {
  it.each([
    ["an empty frame", ""],
    ["white space", "  "],
    ["no JSON", "subscribe chat-123"],
    ["cut JSON", '{"type":"ping"'],
    ["trailing bytes", '{"type":"ping"}}'],
    ["two objects", '{"type":"ping"}{"type":"ping"}'],
    ["an array", '[{"type":"ping"}]'],
    ["a string", '"ping"'],
    ["null", "null"],
    ["a byte order mark", '\ufeff{"type":"ping"}'],
    ["NaN", '{"type":"ping","ref":NaN}'],
    ["a comment", '{"type":"ping"/**/}'],
    ["single quotes", "{'type':'ping'}"],
    ["a raw line break in a string", '{"type":"auth","token":"a\nb"}'],
  ])("refuses %s as bad_frame, without a ref", (_what, text) => {
    expect(refusal(text)).toMatchObject({ code: "bad_frame", ref: undefined });
  });

  it.each([
    ["64 KiB of [", "[".repeat(65_536)],
    ["64 KiB of {", '{"a":'.repeat(13_000)],
    ["deep JSON that is no object", "[".repeat(30_000) + "]".repeat(30_000)],
  ])("refuses %s as too_complex before it parses it", (_what, text) => {
    expect(refusal(text)).toMatchObject({ code: "too_complex", ref: undefined });
  });

  it("never quotes the client's bytes in what it answers", () => {
    expect(refusal('{"type":"auth","token":"secret-token"').message).not.toContain("secret");
    expect(refusal('{"type":"auth","token":["secret-token"]}').message).not.toContain("secret");
  });

  const none = { depth: 0, keys: 0 };

  it.each([31, 10_000])("carries data %i levels deep through, where it may be as deep", (depth) => {
    const data = `${"[".repeat(depth)}${"]".repeat(depth)}`;
    const frame = `{"type":"publish","channel":"a","data":${data}}`;
    expect(decode(frame, depth < 32 ? LIMITS : none)).toMatchObject({ data });
  });

  it.each(["[", '{"a":'])("refuses data deeper than it may be: %s", (open) => {
    const close = open === "[" ? "]" : "}";
    for (const depth of [32, 10_000]) {
      const data = `${open.repeat(depth)}1${close.repeat(depth)}`;
      const error = refusal(`{"type":"publish","channel":"a","data":${data},"ref":7}`);
      expect([error.code, error.message, error.ref]).toEqual([
        "too_complex",
        "the limit is a depth of 32",
        7,
      ]);
    }
  });

  it("counts no brackets and colons in strings", () => {
    const data = JSON.stringify(`${"[{:".repeat(10_000)}\\"`);
    expect(decodeCommand(`{"type":"publish","channel":"a","data":${data}}`)).toMatchObject({ data });
  });

  it("refuses a frame with more keys than it may have, wherever they are", () => {
    for (const count of [4_000, 100_000]) {
      const keys = Array.from({ length: count }, (_, i) => `{"k":${i}}`).join(",");
      const error = refusal(`{"type":"publish","channel":"a","data":[${keys}]}`);
      expect([error.code, error.message]).toEqual(["too_complex", "the limit is 4000 keys"]);
    }
  });

  it("reads a frame with 3,000 keys", () => {
    const keys = Array.from({ length: 3_000 }, (_, i) => `"k${i}":${i}`).join(",");
    expect(decodeCommand(`{"type":"message",${keys}}`)).toMatchObject({ data: `{${keys}}` });
  });

  it.each([
    ["no type", "{}"],
    ["an unknown type", '{"type":"shout"}'],
    ["a type of the server", '{"type":"welcome"}'],
    ["a type in capitals", '{"type":"PING"}'],
    ["a type that every object has", '{"type":"constructor"}'],
    ["a type that is a number", '{"type":1}'],
    ["a type that is null", '{"type":null}'],
    ["a type that is a list", '{"type":["ping"]}'],
    ["a type hidden in the prototype", '{"__proto__":{"type":"ping"}}'],
    ["a type hidden in the constructor", '{"constructor":{"prototype":{"type":"ping"}}}'],
  ])("refuses %s as unknown_type", (_what, text) => {
    expect(refusal(text).code).toBe("unknown_type");
  });

  it("leaves every other object as it was", () => {
    refusal('{"__proto__":{"type":"ping","admin":true}}');
    decodeCommand('{"type":"message","__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}');
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  it.each([
    ["a number", "5"],
    ["null", "null"],
    ["an object", '{"a":1}'],
    ["nothing", undefined],
  ])("refuses an auth whose token is %s", (_what, token) => {
    const error = refusal(token === undefined ? '{"type":"auth"}' : `{"type":"auth","token":${token}}`);
    expect(error).toMatchObject({ code: "bad_frame" });
    expect(error.message).toContain("`token`");
  });

  it("refuses the reserved command job as not_supported", () => {
    expect(refusal('{"type":"job","channel":"a","ref":1}')).toMatchObject({ code: "not_supported", ref: 1 });
  });
});

describe("decodeCommand, events", () => {
  it.each([
    ["no data", '{"type":"publish","channel":"a"}'],
    ["no data in the event", '{"type":"publish","channel":"a","data":1,"event":{"type":"x"}}'],
    ["data only in the prototype", '{"type":"publish","channel":"a","__proto__":{"data":1}}'],
    ["an event that is null", '{"type":"publish","channel":"a","event":null}'],
    ["an event that is a list", '{"type":"publish","channel":"a","event":[{"data":1}]}'],
    ["an event that is a string", '{"type":"publish","channel":"a","event":"x","data":1}'],
    ["a control word as its type", '{"type":"publish","channel":"a","event":{"type":"subscribed","data":1}}'],
    ["a gateway's type", '{"type":"publish","channel":"a","event":{"type":"$join","data":1}}'],
    ["a type with a line break", '{"type":"publish","channel":"a","event":{"type":"a\\nb","data":1}}'],
    [
      "a type that is too long",
      `{"type":"publish","channel":"a","event":{"type":"${"t".repeat(65)}","data":1}}`,
    ],
    ["a type that is null", '{"type":"publish","channel":"a","event":{"type":null,"data":1}}'],
    ["an empty sender", '{"type":"publish","channel":"a","event":{"data":1,"sender":""}}'],
    ["a sender that is a number", '{"type":"publish","channel":"a","event":{"data":1,"sender":5}}'],
    [
      "a sender that is too long",
      `{"type":"publish","channel":"a","event":{"data":1,"sender":"${"s".repeat(257)}"}}`,
    ],
  ])("refuses an event with %s as bad_event, naming the channel", (_what, text) => {
    expect(refusal(text)).toMatchObject({ code: "bad_event", channel: "a" });
  });

  it("refuses a binary frame that is no publish", () => {
    const payload = Uint8Array.of(1);
    expect(refusal('{"type":"ping"}', payload).code).toBe("bad_frame");
    expect(refusal('{"type":"message","text":"hi"}', payload).code).toBe("bad_frame");
  });
});
