import { describe, expect, it } from "vitest";
import { decodeCommand, refusal } from "./tools/decode.ts";

describe("decodeCommand, channels", () => {
  const names = ["a", "0", "chat-123", "user:42:inbox", "A.b_c-d:e", "x".repeat(200)];
  it.each(names)("takes the name %s", (channel) => {
    expect(decodeCommand(JSON.stringify({ type: "subscribe", channel }))).toMatchObject({
      channels: [{ channel }],
    });
  });

  const malformed: unknown[] = [
    "",
    " ",
    "-a",
    "_a",
    ".a",
    ":a",
    "$a",
    "a b",
    "a ",
    "a\n",
    "a\0",
    "a\r\nb",
    "a/b",
    "../a",
    "a%2e",
    "a*",
    "*",
    "a?",
    "[a]",
    "a\\*",
    "é",
    "ａ",
    "\ud800",
    "a!b",
    "a{b}",
    "x".repeat(201),
    5,
    null,
    true,
    [],
    ["a"],
    { channel: "a" },
    undefined,
  ];
  it.each(malformed)("refuses the name %j in every command", (channel) => {
    const frames = [
      { type: "subscribe", channel },
      { type: "subscribe", channels: [{ channel: "a" }, { channel }] },
      { type: "unsubscribe", channel },
      { type: "publish", channel, data: 1 },
      ...(channel === undefined ? [] : [{ type: "message", channel, text: "hi" }]),
    ];
    for (const frame of frames) expect(refusal(JSON.stringify(frame)).code).toBe("bad_channel");
  });

  it.each([
    ["no list", '"a"'],
    ["null", "null"],
    ["empty", "[]"],
    ["a list of names", '["a"]'],
    ["a list of lists", '[["a"]]'],
  ])("refuses `channels` that is %s as bad_frame", (_what, channels) => {
    expect(refusal(`{"type":"subscribe","channels":${channels}}`).code).toBe("bad_frame");
  });

  it("takes 1,000 channels in one frame and refuses 1,001", () => {
    const frame = (count: number) =>
      JSON.stringify({
        type: "subscribe",
        channels: Array.from({ length: count }, (_, i) => ({ channel: `c${i}` })),
      });
    expect(decodeCommand(frame(1_000))).toMatchObject({ type: "subscribe" });
    expect(refusal(frame(1_001)).code).toBe("bad_frame");
  });
});
