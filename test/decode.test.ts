import fc from "fast-check";
import type { TSchema } from "typebox";
import { describe, expect, it } from "vitest";
import { type Command, CommandError } from "../src/protocol/commands.ts";
import { COMMANDS } from "../src/schema/commands.ts";
import { fits } from "../src/schema/shape.ts";
import { decodeCommand } from "./tools/decode.ts";
import { damaged, instances } from "./tools/instances.ts";

/* Frames made of the schemas that the documents show: what is told there is what is taken, and nothing else. */

type Frame = Record<string, unknown>;

/** @throws what is not a refusal: a bug */
function decoded(frame: Frame, payload: Uint8Array | undefined): Command | CommandError {
  try {
    return decodeCommand(JSON.stringify(frame), payload);
  } catch (error) {
    if (error instanceof CommandError) return error;
    throw error;
  }
}

const names = Object.keys(COMMANDS) as (keyof typeof COMMANDS)[];

/** Damage can make another form of the same command, which is as good as this one. */
const FORMS = names.map((name) => ({ name, fits: fits(COMMANDS[name] as TSchema) }));

function isSome(frame: Frame, payload: Uint8Array | undefined): boolean {
  return FORMS.some(
    ({ name, fits }) => (name === "publishBinary") === (payload !== undefined) && fits(frame),
  );
}

describe.each(names)("decodeCommand, of %s", (name) => {
  const payload = name === "publishBinary" ? Uint8Array.of(1, 2, 3) : undefined;
  const whole = fits(COMMANDS[name] as TSchema);
  const frames = (instances(COMMANDS[name]) as fc.Arbitrary<Frame>).filter(whole);

  it("takes what fits its schema, and keeps its fields", () => {
    const check = (frame: Frame) => {
      const command = decoded(frame, payload) as unknown as Frame;
      expect(command).not.toBeInstanceOf(CommandError);
      expect(command.type).toBe(frame.type === "message" ? "publish" : frame.type);
      for (const field of ["ref", "channel", "key", "token", "traceparent"])
        if (field in frame && field in command) expect(command[field]).toEqual(frame[field]);
    };
    fc.assert(fc.property(frames, check), { numRuns: 300 });
  });

  it("refuses what does not, by a code and a rule", () => {
    let refused = 0;
    const check = (frame: Frame) => {
      const outcome = decoded(frame, payload);
      expect(outcome instanceof CommandError).toBe(!isSome(frame, payload));
      if (!(outcome instanceof CommandError)) return;
      expect(outcome.message).not.toBe("");
      refused++;
    };
    const broken = frames.chain((frame) => damaged(frame, new Set(["type"]))) as fc.Arbitrary<Frame>;
    fc.assert(fc.property(broken, check), { numRuns: 1_000 });
    expect(refused, "frames that were refused").toBeGreaterThan(50);
  });

  it("takes its examples", () => {
    const { examples } = COMMANDS[name] as unknown as { examples: Frame[] };
    expect(examples.length).toBeGreaterThan(0);
    for (const frame of examples) expect(decoded(frame, payload)).not.toBeInstanceOf(CommandError);
  });
});
