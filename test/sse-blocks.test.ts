import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type EncodedEvent, encode } from "../src/hub/encoded-event.ts";
import { encodeBase64Event, encodeEvent, payloadOf } from "../src/protocol/event.ts";
import { parseId } from "../src/protocol/position.ts";
import { controlBlock, eventBlock, HEARTBEAT, idLine, retry } from "../src/transport/sse/blocks.ts";
import { type Block, blocksIn } from "./support/event-stream.ts";

const type = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_.:-]{0,63}$/);
const text = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.string({
    unit: fc.constantFrom('"', "\\", ",", "}", "{", ":", "\n", "\r", "\u2028", "é", "𝄞", "sender", "data"),
  }),
  fc.constantFrom(
    '","sender":"x',
    '\\","sender":"x',
    ',"data":1',
    ',"data_base64":"AAAA"}',
    '"}',
    "\\",
    '\\"',
  ),
);
const head = fc.record({
  type,
  channel: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,20}$/),
  id: fc.option(fc.constantFrom("43604441b0107ade-6b043420:42", "x-:0"), { nil: undefined }),
  timestamp: fc.constantFrom("2026-03-08T14:30:00.123Z", "2026-03-08T14:30:00+01:00"),
  sender: fc.option(text, { nil: undefined }),
});
/** As a publisher may write it: JSON with blanks and line breaks between its tokens. */
const data = fc
  .tuple(
    fc.oneof(
      fc.json({ depthSize: "small" }),
      text.map((one) => JSON.stringify(one)),
      text.map((one) => JSON.stringify({ sender: one, data: one })),
      text.map((one) => JSON.stringify([{ [one]: one }])),
    ),
    fc.constantFrom(undefined, 1, "\t", "\r", "\n  "),
    fc.constantFrom("", "\n", "\r\n", "\r", " "),
  )
  .map(([json, indent, end]) => `${end}${JSON.stringify(JSON.parse(json), null, indent)}${end}`);

const utf8 = (bytes: Uint8Array) => Buffer.from(bytes).toString();

describe("what was published, taken out of a frame again", () => {
  it("is its type and its data, byte for byte", () => {
    fc.assert(
      fc.property(head, data, (one, json) => {
        const found = payloadOf(Buffer.from(encodeEvent(one, json)));
        expect([found.type, utf8(found.data)]).toEqual([one.type, json]);
      }),
      { numRuns: 2_000 },
    );
  });

  it("is an object with the base64 where it was binary", () => {
    fc.assert(
      fc.property(head, fc.uint8Array({ maxLength: 100 }), (one, bytes) => {
        const base64 = Buffer.from(bytes).toString("base64");
        const frame = Buffer.from(encodeBase64Event(one, base64));
        const found = payloadOf(frame);
        expect([found.type, utf8(found.data)]).toEqual([one.type, `{"data_base64":"${base64}"}`]);
        expect(utf8(frame)).toBe(encodeBase64Event(one, base64)); // others send the same bytes
      }),
      { numRuns: 1_000 },
    );
  });
});

function event(json: string | Uint8Array, more = {}): EncodedEvent {
  const position = parseId("43604441b0107ade-6b043420:42");
  const place = position && { position, previous: "" };
  return encode(
    {
      type: "chat",
      channel: "c",
      id: "43604441b0107ade-6b043420:42",
      timestamp: "2026-03-08T14:30:00Z",
      ...more,
    },
    json,
    undefined,
    place,
  );
}

function only(block: Uint8Array): Block {
  const blocks = blocksIn(utf8(block));
  expect(blocks).toHaveLength(1);
  return blocks[0] as Block;
}

const BREAKS = ["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n", "\n\r"];

describe("the block of an event", () => {
  it("has type, id and data, and is one block whatever the data hold", () => {
    fc.assert(
      fc.property(head, data, (one, json) => {
        const block = only(eventBlock(event(json, one)).whole);
        expect([block.event, block.id, block.unknown]).toEqual([
          one.type,
          "43604441b0107ade-6b043420:42",
          [],
        ]);
        expect(JSON.parse(block.data ?? "")).toEqual(JSON.parse(json));
      }),
      { numRuns: 1_000 },
    );
  });

  it.each(BREAKS.map((one) => [JSON.stringify(one), one] as const))(
    "takes data with %s line by line",
    (_, line) => {
      const json = `{"a":1,${line}"id":${line}"id: 7"${line}}${line}`;
      const block = only(eventBlock(event(json)).whole);
      expect(block.data).toBe(json.replaceAll(/\r\n|\r/g, "\n"));
      expect(JSON.parse(block.data ?? "")).toEqual({ a: 1, id: "id: 7" });
      const many = only(Buffer.concat([eventBlock(event(json)).beforeCursor, Buffer.from("cursor\n\n")]));
      expect([many.event, many.id]).toEqual(["chat", "cursor"]);
      expect(JSON.parse(many.data ?? "")).toMatchObject({ channel: "c", data: { a: 1, id: "id: 7" } });
    },
  );

  it("has no id where the history does not hold it, and binary data as base64", () => {
    const { position: _, ...rest } = event(Buffer.from([0, 255, 10, 13]));
    const block = only(eventBlock({ ...rest, position: undefined }).whole);
    expect(block).toEqual({ event: "chat", data: '{"data_base64":"AP8KDQ=="}', comments: [], unknown: [] });
  });
});

describe("the gateway's own blocks", () => {
  it("begin with $, and hold one line of data", () => {
    const block = only(controlBlock("lost", { reason: "a\r\nb\nevent: x" }, `${retry(12.4)}${idLine("i")}`));
    expect(block).toMatchObject({ event: "$lost", id: "i", retry: 12, unknown: [] });
    expect(JSON.parse(block.data ?? "")).toEqual({ reason: "a\r\nb\nevent: x" });
  });

  it("a heartbeat is a comment, and no event", () => {
    expect(only(HEARTBEAT)).toEqual({ comments: [""], unknown: [] });
  });
});
