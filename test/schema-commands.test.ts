import fc from "fast-check";
import type { TSchema } from "typebox";
import { describe, expect, it } from "vitest";
import { eventIn } from "../src/api/events.ts";
import { RequestError } from "../src/protocol/codes.ts";
import { COMMANDS } from "../src/schema/commands.ts";
import { PublishBody } from "../src/schema/http.ts";
import { shape } from "../src/schema/shape.ts";
import { decodeCommand } from "./tools/decode.ts";
import { damaged, instances } from "./tools/instances.ts";

/*
 * The schemas say what clients may send; protocol/commands.ts decodes it by hand. Both must agree on every frame: what is
 * accepted, and by which code and message the rest is refused.
 */

type Verdict = "accepted" | { readonly code: string; readonly message: string };
type Frame = Record<string, unknown>;

function verdict(check: () => unknown): Verdict {
  try {
    check();
    return "accepted";
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    return { code: error.code, message: error.message };
  }
}

const shapes = Object.fromEntries(
  Object.entries(COMMANDS).map(([name, schema]) => [name, shape(schema as TSchema)]),
) as Record<keyof typeof COMMANDS, (value: unknown) => unknown>;

/** Which of the forms of its type a frame has. */
function formOf(frame: Frame, isBinary: boolean): keyof typeof COMMANDS {
  if (frame.type === "subscribe") return "channels" in frame ? "subscribeMany" : "subscribe";
  if (frame.type === "publish")
    return isBinary ? "publishBinary" : "event" in frame ? "publish" : "publishShort";
  return frame.type as keyof typeof COMMANDS;
}

/** What no schema can say: an offset has no more digits than a number can hold. */
function hasSafeOffsets(frame: Frame): boolean {
  const ids = JSON.stringify(frame).match(/:\d{16}"/g) ?? [];
  return ids.every((id) => Number.isSafeInteger(Number(id.slice(1, -1))));
}

const KEPT = new Set(["type"]);
const names = Object.keys(COMMANDS) as (keyof typeof COMMANDS)[];

describe.each(names)("the schema of %s, and the decoder", (name) => {
  const payload = name === "publishBinary" ? Uint8Array.of(1, 2, 3) : undefined;
  const frames = instances(COMMANDS[name]) as fc.Arbitrary<Frame>;
  const bySchema = (frame: Frame) => verdict(() => shapes[formOf(frame, payload !== undefined)](frame));
  const byDecoder = (frame: Frame) => verdict(() => decodeCommand(JSON.stringify(frame), payload));
  const agree = (frame: Frame) => {
    fc.pre(hasSafeOffsets(frame));
    expect(byDecoder(frame)).toEqual(bySchema(frame));
  };

  it("agree on frames whose fields are right, each by itself", () => {
    fc.assert(fc.property(frames, agree), { numRuns: 300 });
  });

  it("agree on frames one field of which is not", () => {
    const broken = frames
      .filter((frame) => bySchema(frame) === "accepted")
      .chain((frame) => damaged(frame, KEPT)) as fc.Arbitrary<Frame>;
    let refused = 0;
    fc.assert(
      fc.property(broken, (frame) => {
        agree(frame);
        if (bySchema(frame) !== "accepted") refused++;
      }),
      { numRuns: 1_000 },
    );
    expect(refused, "frames that were refused").toBeGreaterThan(50);
  });

  it("agree on the schema's examples", () => {
    const { examples } = COMMANDS[name] as unknown as { examples: Frame[] };
    expect(examples.length).toBeGreaterThan(0);
    for (const frame of examples)
      expect([byDecoder(frame), bySchema(frame)]).toEqual(["accepted", "accepted"]);
  });
});

describe("the schema of an event to publish over HTTP, and its decoder", () => {
  const check = shape(PublishBody);
  const bodies = instances(PublishBody) as fc.Arbitrary<Frame>;
  const agree = (body: Frame) => {
    const byDecoder = verdict(() => eventIn(JSON.stringify(body), body, "chat-123"));
    expect(byDecoder).toEqual(verdict(() => check(body)));
  };

  it("agree", () => {
    fc.assert(fc.property(bodies, agree), { numRuns: 300 });
    fc.assert(fc.property(bodies.chain((body) => damaged(body, new Set())) as fc.Arbitrary<Frame>, agree), {
      numRuns: 1_000,
    });
  });
});
