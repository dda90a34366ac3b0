import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Member, member, members, parse } from "../src/protocol/json.ts";

const space = fc.string({ unit: fc.constantFrom(" ", "\t", "\n", "\r"), maxLength: 3 });

/** A string as JSON, in one of the many ways to write it. */
const rawString = fc
  .array(
    fc.oneof(
      fc
        .string({ unit: "grapheme", minLength: 1, maxLength: 3 })
        .map((text) => JSON.stringify(text).slice(1, -1)),
      fc.integer({ min: 0, max: 0xffff }).map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`),
      fc.constantFrom(
        '\\"',
        "\\\\",
        "\\/",
        "\\b",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\\\\\\\\",
        '\\\\\\"',
        "__proto__",
      ),
    ),
    { maxLength: 5 },
  )
  .map((pieces) => `"${pieces.join("")}"`);

const rawNumber = fc.oneof(
  fc.stringMatching(/^-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,4})?$/),
  fc.constantFrom("12345678901234567890", "-0", "1e999", "0.1e-7"),
);
const rawScalar = fc.oneof(rawString, rawNumber, fc.constantFrom("true", "false", "null"));
// Few names, so that keys occur twice.
const rawKey = fc.oneof(rawString, fc.constantFrom('"data"', '"d\\u0061ta"', '"type"', '"__proto__"', '""'));

interface RawMember {
  readonly rawKey: string;
  readonly value: string;
  /** White space before the key, behind it, before and behind the value. */
  readonly spaces: readonly [string, string, string, string];
}

const { rawMember } = fc.letrec<{ rawValue: string; rawMember: RawMember }>((tie) => ({
  rawValue: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    rawScalar,
    fc
      .array(fc.tuple(space, tie("rawValue"), space), { maxLength: 4 })
      .map((items) => `[${items.map((item) => item.join("")).join(",") || " "}]`),
    fc.array(tie("rawMember"), { maxLength: 4 }).map((list) => written(list)),
  ),
  rawMember: fc.record({ rawKey, value: tie("rawValue"), spaces: fc.tuple(space, space, space, space) }),
}));

function written(list: readonly RawMember[]): string {
  const inner = list.map(({ rawKey, value, spaces: [a, b, c, d] }) => `${a}${rawKey}${b}:${c}${value}${d}`);
  return `{${inner.join(",") || "\n"}}`;
}

const rawObject = fc.record({
  before: space,
  list: fc.array(rawMember, { maxLength: 6 }),
  after: space,
});

describe("members", () => {
  it("cuts exactly the slices that were written, whatever the object", () => {
    fc.assert(
      fc.property(rawObject, ({ before, list, after }) => {
        const cut = members(before + written(list) + after);
        expect(cut.map(({ rawKey, value }) => ({ rawKey, value }))).toEqual(
          list.map(({ rawKey, value }) => ({ rawKey, value })),
        );
      }),
      { numRuns: 2_000 },
    );
  });

  it("gives slices that, joined again, parse to the same object", () => {
    fc.assert(
      fc.property(rawObject, ({ before, list, after }) => {
        const text = before + written(list) + after;
        const joined = `{${members(text)
          .map((one) => `${one.rawKey}:${one.value}`)
          .join(",")}}`;
        expect(JSON.stringify(JSON.parse(joined))).toBe(JSON.stringify(JSON.parse(text)));
      }),
      { numRuns: 1_000 },
    );
  });

  it("gives slices that each parse to the value, under the key as JSON.parse reads it", () => {
    fc.assert(
      fc.property(rawObject, ({ before, list, after }) => {
        const text = before + written(list) + after;
        const parsed = JSON.parse(text) as Record<string, unknown>;
        const cut = members(text);
        expect(new Set(cut.map(({ key }) => key))).toEqual(new Set(Object.keys(parsed)));
        for (const [key, value] of Object.entries(parsed)) {
          expect(JSON.stringify(JSON.parse(member(cut, key) as string))).toBe(JSON.stringify(value));
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("leaves numbers that no double holds as they were", () => {
    const cut = members('{"a":12345678901234567890 ,"b":1.000,"c":-0}');
    expect(cut.map(({ value }) => value)).toEqual(["12345678901234567890", "1.000", "-0"]);
  });

  it("finds nothing in an empty object", () => {
    expect(members(" { } ")).toEqual([]);
  });

  it("cuts an object of a megabyte in well under a second", () => {
    const value = `"${'\\\\\\"'.repeat(100_000)}"`;
    const text = `{"a":${value},"b":{"c":[${"[],".repeat(100_000)}1]}}`;
    const start = performance.now();
    expect(members(text)[0]?.value).toBe(value);
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});

describe("member", () => {
  const list: Member[] = [
    { key: "a", rawKey: '"a"', value: "1" },
    { key: "a", rawKey: '"\\u0061"', value: "2" },
  ];

  it("takes the last of a key that occurs twice, as JSON.parse does", () => {
    expect(member(list, "a")).toBe("2");
  });

  it("knows nothing of keys that are only in the prototype", () => {
    expect(member(list, "constructor")).toBeUndefined();
    expect(member(list, "__proto__")).toBeUndefined();
  });
});

describe("parse", () => {
  it("answers undefined for what is not JSON, and null for null", () => {
    expect(parse("{")).toBeUndefined();
    expect(parse("")).toBeUndefined();
    expect(parse("null")).toBeNull();
  });
});
