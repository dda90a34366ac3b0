import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  cursorHead,
  encodeMark,
  isMarkedBy,
  type Mark,
  offsetOf,
  parseCursor,
} from "../src/protocol/cursor.ts";
import type { Position } from "../src/protocol/position.ts";

const WINDOW = 2 ** 24;

const channel = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,30}$/);
const channels = fc.uniqueArray(channel, { minLength: 1, maxLength: 100 });
const position: fc.Arbitrary<Position> = fc.record({
  epoch: fc.stringMatching(/^[0-9a-f]{16}$/),
  check: fc.stringMatching(/^[0-9a-f]{8}$/),
  offset: fc.maxSafeNat(),
});

function cursorOf(names: readonly string[], positions: readonly (Position | undefined)[]): string {
  return cursorHead(names) + positions.map(encodeMark).join("");
}

describe("a cursor", () => {
  it("gives back for each channel what was put in, and is six bytes for each", () => {
    fc.assert(
      fc.property(
        channels.chain((names) =>
          fc.tuple(
            fc.constant(names),
            fc.array(fc.option(position, { nil: undefined }), {
              minLength: names.length,
              maxLength: names.length,
            }),
          ),
        ),
        ([names, positions]) => {
          const text = cursorOf(names, positions);
          expect(text).toMatch(/^c1[\w-]+$/);
          expect(text).toHaveLength(6 + 8 * names.length); // six bytes are eight characters
          const marks = parseCursor(text, names);
          expect(marks).toHaveLength(names.length);
          for (const [i, at] of positions.entries()) {
            const mark = marks?.[i];
            if (!at) expect(mark).toBeUndefined();
            else expect(mark && isMarkedBy(at, mark)).toBe(true);
          }
        },
      ),
    );
  });

  it("tells one event from another in its place, but for one in sixteen million", () => {
    fc.assert(
      fc.property(position, position, (a, b) => {
        const [mark] = parseCursor(cursorOf(["c"], [a]), ["c"]) as [Mark];
        const other = { ...b, offset: a.offset };
        fc.pre(other.epoch !== a.epoch || other.check !== a.check);
        expect(isMarkedBy(other, mark)).toBe(false);
      }),
    );
  });

  it("stands for the offset that is nearest to the head of its channel", () => {
    fc.assert(
      fc.property(position, fc.integer({ min: -WINDOW / 2 + 1, max: WINDOW / 2 }), (at, back) => {
        const head = at.offset + back;
        fc.pre(head >= 0 && Number.isSafeInteger(head));
        const [mark] = parseCursor(cursorOf(["c"], [at]), ["c"]) as [Mark];
        expect(offsetOf(mark, head)).toBe(at.offset);
      }),
    );
  });

  it.each([0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 2 ** 53 - 1])("holds at the offset %d", (offset) => {
    const at = { epoch: "e", check: "c", offset };
    const [mark] = parseCursor(cursorOf(["c"], [at]), ["c"]) as [Mark];
    expect([offsetOf(mark, offset), isMarkedBy(at, mark)]).toEqual([offset, true]);
  });

  it("is none of other channels, of more, of fewer, or of the same in another order", () => {
    fc.assert(
      fc.property(channels, channels, (names, others) => {
        fc.pre(names.join(" ") !== others.join(" "));
        const text = cursorOf(
          names,
          names.map(() => undefined),
        );
        expect(parseCursor(text, others)).toBeUndefined();
      }),
    );
    expect(parseCursor(cursorOf(["a", "b"], [undefined, undefined]), ["b", "a"])).toBeUndefined();
  });

  it("is no garbage, however long, and nothing that was changed is taken for a cursor of another length", () => {
    const good = cursorOf(["a", "b"], [{ epoch: "e", check: "c", offset: 7 }, undefined]);
    const bad = [
      "",
      "c1",
      "7",
      "a-b:1",
      good.slice(1),
      good.slice(0, -1),
      `${good}A`,
      `${good.slice(0, -1)}+`,
      `${good.slice(0, -1)}\n`,
      `${good.slice(0, -1)}é`,
      good.replace("c1", "c2"),
      "A".repeat(65_536),
      `${good}${"A".repeat(65_536)}`,
    ];
    for (const text of bad)
      expect([text.slice(0, 40), parseCursor(text, ["a", "b"])]).toEqual([text.slice(0, 40), undefined]);
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), channels, (text, names) => {
        const marks = parseCursor(text, names);
        for (const mark of marks ?? [])
          if (mark) expect(mark.offset < WINDOW && mark.digest < WINDOW && mark.offset >= 0).toBe(true);
      }),
    );
  });
});
