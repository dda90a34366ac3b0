import fc from "fast-check";
import type { TSchema } from "typebox";
import { describe, expect, it } from "vitest";
import { type Command, CommandError } from "../src/protocol/commands.ts";
import { parseId } from "../src/protocol/position.ts";
import { COMMANDS } from "../src/schema/commands.ts";
import { fits } from "../src/schema/shape.ts";
import { decodeCommand, refusal } from "./tools/decode.ts";
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

/** What a frame that fits asks for, said once more in the simplest way. */
function expected(frame: Frame, payload: Uint8Array | undefined): unknown {
  const { type, ref, channel, token } = frame;
  if (type === "auth") return { type, ref, token };
  if (type === "ping") return { type, ref };
  if (type === "unsubscribe") return { type, ref, channel };
  if (type === "history") {
    const { since, before, limit = 100 } = frame;
    return { type, ref, channel, query: { since: parseId(since), before: parseId(before), limit } };
  }
  if (type === "presence")
    return { type, ref, channel, query: { after: frame.after, limit: frame.limit ?? 100 } };
  if (type === "subscribe") {
    const wanted = (frame.channels ?? [frame]) as Frame[];
    const start = ({ since, last }: Frame) =>
      since !== undefined ? { since: parseId(since) } : last === undefined ? undefined : { last };
    return { type, ref, channels: wanted.map((one) => ({ channel: one.channel, start: start(one) })) };
  }
  const { event, key, echo, traceparent } = frame as Frame & { event?: Frame };
  const { type: eventType = "message", sender, data = frame.data } = event ?? {};
  const { type: _type, ref: _ref, channel: _channel, key: _key, echo: _echo, ...rest } = frame;
  return {
    type: "publish",
    ref,
    channel,
    eventType,
    data: payload ?? JSON.stringify(data ?? (type === "message" && !("data" in frame) ? rest : data)),
    echo: echo !== false,
    sender,
    key,
    ...(traceparent !== undefined && type !== "message" && { traceparent }),
  };
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
      expect(decoded(frame, payload)).toEqual(expected(frame, payload));
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

/** What each rule says, and of which channel: by hand, since the schemas cannot show that they are right. */
const REFUSED: [frame: string, code: string, message: string, channel?: string][] = [
  ['{"type":"auth"}', "bad_frame", "`auth` needs a `token`, a string"],
  ['{"type":"auth","token":1}', "bad_frame", "`auth` needs a `token`, a string"],
  [
    '{"type":"ping","ref":-1}',
    "bad_frame",
    "`ref` is an integer from 0 to 2^53-1 or a string of up to 64 characters",
  ],
  ['{"type":"subscribe"}', "bad_channel", "The channel name is malformed"],
  [
    '{"type":"subscribe","channel":"a","since":"x"}',
    "bad_since",
    "`since` is the id of an event: <text>:<digits>",
    "a",
  ],
  [
    '{"type":"subscribe","channel":"a","since":"e-c:9007199254740992"}',
    "bad_since",
    "`since` is the id of an event: <text>:<digits>",
    "a",
  ],
  ['{"type":"subscribe","channel":"a","last":0}', "bad_limit", "`last` is an integer from 1 to 1000", "a"],
  [
    '{"type":"subscribe","channel":"a","since":"e-c:1","last":1}',
    "bad_frame",
    "`since` and `last` exclude each other",
    "a",
  ],
  ['{"type":"subscribe","channels":[]}', "bad_frame", '`channels` is a list of 1 to 1000 {"channel":…}'],
  ['{"type":"subscribe","channels":[1]}', "bad_frame", '`channels` is a list of {"channel":…}'],
  [
    '{"type":"subscribe","channel":"x","channels":[{"channel":"a b"}]}',
    "bad_channel",
    "The channel name is malformed",
  ],
  [
    '{"type":"subscribe","channels":[{"channel":"a"},{"channel":"b","last":"1"}]}',
    "bad_limit",
    "`last` is an integer from 1 to 1000",
    "b",
  ],
  ['{"type":"history","channel":"a","limit":1001}', "bad_limit", "`limit` is an integer from 1 to 1000", "a"],
  [
    '{"type":"history","channel":"a","before":"e-c:1","since":"e-c:1"}',
    "bad_frame",
    "`since` and `before` exclude each other",
    "a",
  ],
  [
    '{"type":"presence","channel":"a","after":""}',
    "bad_frame",
    "`after` is a user, the `next` of the page before",
    "a",
  ],
  ['{"type":"publish","channel":"a"}', "bad_event", "`data` is required", "a"],
  ['{"type":"publish","channel":"a","event":1}', "bad_event", "`event` is an object", "a"],
  ['{"type":"publish","channel":"a","event":{"channel":"other"}}', "bad_event", "`data` is required", "a"],
  [
    '{"type":"publish","channel":"a","event":{"channel":"other","type":"$x","data":1}}',
    "bad_event",
    "`type` matches [A-Za-z][A-Za-z0-9_.:-]{0,63} and is not a control word",
    "a",
  ],
  [
    '{"type":"publish","channel":"a","event":{"sender":"","data":1}}',
    "bad_event",
    "`sender` is a string of 1 to 256 characters",
    "a",
  ],
  [
    '{"type":"publish","channel":"a","data":1,"key":"two words"}',
    "bad_key",
    "The idempotency key is malformed",
    "a",
  ],
  [
    '{"type":"publish","channel":"a","data":1,"traceparent":"00"}',
    "bad_event",
    "`traceparent` is a W3C trace context, `00-…-…-01`",
    "a",
  ],
];

it.each(REFUSED)("refuses %s", (text, code, message, channel) => {
  expect(refusal(text)).toMatchObject({ code, message, channel });
});
