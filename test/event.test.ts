import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encode } from "../src/hub/encoded-event.ts";
import { joinBinary, splitBinary } from "../src/protocol/binary.ts";
import { CONTROL_WORDS, encodeEvent, isEventType } from "../src/protocol/event.ts";
import { isTimestamp, timestamp } from "../src/protocol/timestamp.ts";

const head = { type: "message", channel: "chat-123", timestamp: "2026-03-08T14:30:00.123Z" };

describe("encodeEvent", () => {
  it("makes the frame that PROTOCOL.md shows", () => {
    const frame = encodeEvent({ ...head, sender: "ann" }, '{"text":"Hello!"}');
    expect(frame).toBe(
      '{"type":"message","channel":"chat-123","timestamp":"2026-03-08T14:30:00.123Z","data":{"text":"Hello!"},"sender":"ann"}',
    );
  });

  it("leaves the sender out when there is none", () => {
    expect(JSON.parse(encodeEvent(head, "1"))).toEqual({ ...head, data: 1 });
  });

  it("puts the data in byte for byte", () => {
    const data = '{ "n":12345678901234567890,"n":1.0 }';
    expect(encodeEvent(head, data)).toContain(`"data":${data}`);
  });

  it.each(['a"b', "a\\", "a\nb", "\u2028", "\ud800", '","data":"forged'])(
    "escapes the sender %j",
    (sender) => {
      const frame = encodeEvent({ ...head, sender }, "1");
      expect(JSON.parse(frame)).toEqual({ ...head, data: 1, sender });
      expect(Buffer.from(frame).toString(), "survives UTF-8").toBe(frame);
    },
  );
});

describe("encode", () => {
  it("encodes JSON once, for all who listen", () => {
    const event = encode({ ...head, sender: "ann" }, '{"text":"é"}', "connection-1");
    expect(event).toMatchObject({ channel: "chat-123", binary: undefined, except: "connection-1" });
    expect(Buffer.from(event.text).toString()).toBe(encodeEvent({ ...head, sender: "ann" }, '{"text":"é"}'));
  });

  it("gives a binary payload in base64 to those who speak JSON only", () => {
    const event = encode(head, Uint8Array.of(0, 255, 128));
    expect(JSON.parse(Buffer.from(event.text).toString())).toEqual({ ...head, data_base64: "AP+A" });
  });

  it("gives a binary payload as bytes behind the event to those who take them", () => {
    const whole = Uint8Array.of(9, 9, 0, 255, 128, 9);
    const event = encode({ ...head, sender: "ann" }, whole.subarray(2, 5));
    const parts = splitBinary(event.binary as Uint8Array);
    expect(JSON.parse(parts?.json ?? "")).toEqual({ ...head, sender: "ann" });
    expect([...(parts?.payload ?? [])]).toEqual([0, 255, 128]);
  });
});

describe("binary frames", () => {
  it.each([0, 1, 255, 256, 65_535])("come back as they were joined, with %i bytes of JSON", (length) => {
    const json = "x".repeat(length);
    const parts = splitBinary(joinBinary(json, Uint8Array.of(1, 2, 3)));
    expect(parts?.json).toBe(json);
    expect([...(parts?.payload ?? [])]).toEqual([1, 2, 3]);
  });

  it("may have an empty payload", () => {
    expect(splitBinary(joinBinary("{}", new Uint8Array()))?.payload.length).toBe(0);
  });

  it("cannot have more JSON than the length can say", () => {
    expect(() => joinBinary("x".repeat(65_536), new Uint8Array())).toThrow(RangeError);
  });

  it.each([
    ["nothing", []],
    ["half a length", [0]],
    ["a length alone", [0, 1]],
    ["less than its length", [0, 5, 123, 125]],
    ["a length that is huge", [255, 255, 123, 125]],
    ["JSON that is not UTF-8", [0, 1, 255]],
    ["JSON cut inside a character", [0, 1, 0xc3, 0xa9]],
  ])("are no frame when they hold %s", (_what, bytes) => {
    expect(splitBinary(Uint8Array.from(bytes))).toBeUndefined();
  });
});

describe("event types", () => {
  it.each(["message", "a", "room.moved", "A:b_c-d.9", "t".repeat(64)])("may be %s", (type) => {
    expect(isEventType(type)).toBe(true);
  });

  it.each(["", "9a", "$join", "_a", "a b", "a\n", "é", 'a"', "t".repeat(65), 5, null, undefined, ["a"]])(
    "may not be %j",
    (type) => {
      expect(isEventType(type)).toBe(false);
    },
  );

  it("may not be one of the control words of PROTOCOL.md", () => {
    const words =
      "auth authenticated subscribe subscribed unsubscribe unsubscribed publish published history presence job accepted ping pong welcome error closing";
    expect([...CONTROL_WORDS].sort()).toEqual(words.split(" ").sort());
    for (const word of CONTROL_WORDS) expect(isEventType(word), word).toBe(false);
  });
});

describe("timestamps", () => {
  it.each(["2026-03-08T14:30:00Z", "2026-03-08T14:30:00.123Z", "2026-03-08T14:30:00.123456789+01:00"])(
    "may be %s",
    (timestamp) => {
      expect(isTimestamp(timestamp)).toBe(true);
    },
  );

  it.each([
    "2026-03-08",
    "2026-03-08 14:30:00Z",
    "2026-03-08T14:30:00",
    "2026-13-08T14:30:00Z",
    "2026-03-08T25:30:00Z",
    '2026-03-08T14:30:00Z","x":"',
    "2026-03-08T14:30:00Z\n",
    "yesterday",
    1_772_980_200,
    null,
  ])("may not be %j", (timestamp) => {
    expect(isTimestamp(timestamp)).toBe(false);
  });

  it("is written as Date has it, whatever came before", () => {
    const times = fc.integer({ min: 0, max: 4_102_444_800_000 });
    fc.assert(
      fc.property(fc.array(fc.oneof(times, fc.integer({ min: 999_990, max: 1_000_010 }))), (all) => {
        for (const ms of all) expect(timestamp(ms)).toBe(new Date(ms).toISOString());
      }),
    );
  });
});
