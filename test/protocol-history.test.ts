import { describe, expect, it } from "vitest";
import { refusal } from "./tools/decode.ts";

describe("decodeCommand, ids, numbers and keys that are none", () => {
  it.each([
    ["null"],
    ["7"],
    ['""'],
    ['"e:"'],
    ['"e:-1"'],
    ['"e:1.5"'],
    ['"e:1 "'],
    ['":1"'],
    ['"e"'],
    ['"e:9007199254740992"'],
    ['"e:99999999999999999999"'],
    [`"${"e".repeat(129)}:1"`],
    ['["e:1"]'],
  ])("refuses the id %s as bad_since", (id) => {
    for (const frame of [
      `{"type":"subscribe","channel":"a","since":${id}}`,
      `{"type":"subscribe","channels":[{"channel":"b"},{"channel":"a","since":${id}}]}`,
      `{"type":"history","channel":"a","since":${id}}`,
      `{"type":"history","channel":"a","before":${id}}`,
    ])
      expect(refusal(frame)).toMatchObject({ code: "bad_since", channel: "a" });
  });

  it.each(["0", "-1", "1.5", "1001", "1e9", '"5"', "null", "true"])(
    "refuses the number %s as bad_limit",
    (limit) => {
      for (const frame of [
        `{"type":"subscribe","channel":"a","last":${limit}}`,
        `{"type":"history","channel":"a","limit":${limit}}`,
      ])
        expect(refusal(frame)).toMatchObject({ code: "bad_limit", channel: "a" });
    },
  );

  it.each(["5", "null", '""', '"a b"', '"é"', '"a\\n"', `"${"k".repeat(129)}"`])(
    "refuses the key %s as bad_key",
    (key) => {
      for (const type of ["publish", "message"])
        expect(refusal(`{"type":"${type}","channel":"a","data":1,"key":${key}}`).code).toBe("bad_key");
    },
  );

  it.each([
    '{"type":"subscribe","channel":"a","since":"e:1","last":1}',
    '{"type":"history","channel":"a","since":"e:1","before":"e:1"}',
  ])("refuses two beginnings at once: %s", (frame) => {
    expect(refusal(frame).code).toBe("bad_frame");
  });
});
