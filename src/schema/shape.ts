import { type AnySchema, type ErrorObject, Ajv2020 as Validator } from "ajv/dist/2020.js";
import type { Static, TSchema } from "typebox";
import { isChannel } from "../protocol/channel.ts";
import { type Code, RequestError } from "../protocol/codes.ts";
import { isObject } from "../protocol/json.ts";

/** Words that our schemas have beside those of JSON Schema (see fields.ts). */
const WORDS = ["x-unit", "x-error", "x-rule", "x-extensible-enum"];

/** What a schema says of a value that does not fit. */
interface Rule {
  readonly "x-error"?: Code;
  readonly "x-rule"?: string;
  readonly properties?: Readonly<Record<string, Rule>>;
}

/**
 * Lengths count UTF-16 units, as those of tokens do. `verbose` brings along the schema that
 * was broken, for its rule; nothing of it, and of the value, is told to anybody.
 */
const validator = new Validator({
  strict: true,
  strictTypes: false,
  strictRequired: false,
  unicode: false,
  verbose: true,
  // It would warn that `unicode` is not the default; what is wrong in a schema throws.
  logger: false,
});
for (const word of WORDS) validator.addKeyword(word);
// What no pattern says in a line.
validator.addKeyword({
  keyword: "x-position",
  type: "string",
  validate: (_: true, id: string) => Number.isSafeInteger(Number(id.slice(id.lastIndexOf(":") + 1))),
});
validator.addKeyword({
  keyword: "x-base64",
  type: "string",
  validate: (_: true, text: string) => Buffer.from(text, "base64").toString("base64") === text,
});

/** Whether a value fits a schema. Compiles it: once, not for each value. */
export function fits(schema: TSchema): (value: unknown) => boolean {
  const check = validator.compile(schema as AnySchema);
  return (value) => check(value) === true;
}

/** Finds the channel that a refusal is about. @param path of what is wrong: a JSON pointer */
type ChannelOf = (value: unknown, path: string) => string | undefined;

/**
 * A check that gives the value back, typed, or says by code and message which rule it breaks. Compiles the schema.
 * @param channelOf where nobody gives the channel that it is about
 * @returns which throws {RequestError} of the first rule that is broken
 */
export function shape<S extends TSchema>(
  schema: S,
  channelOf: ChannelOf = () => undefined,
): (value: unknown, channel?: string) => Static<S> {
  const check = validator.compile(schema as AnySchema);
  return (value, channel) => {
    if (check(value)) return value as Static<S>;
    const errors = (check.errors ?? []).map((error) => ({ rule: ruleOf(error), path: error.instancePath }));
    const { rule, path } = errors.find((error) => error.rule?.["x-error"] !== undefined) ?? { path: "" };
    throw new RequestError(rule?.["x-error"] ?? "bad_frame", rule?.["x-rule"], {
      channel: channel ?? channelOf(value, path),
    });
  };
}

/** Of a member that is missing, that member's; else that of the schema whose word was broken. */
function ruleOf({ keyword, params, parentSchema }: ErrorObject): Rule | undefined {
  const broken = parentSchema as Rule | undefined;
  if (keyword !== "required") return broken;
  return broken?.properties?.[String(params.missingProperty)] ?? broken;
}

/** Of what names its channel itself: in `channels` each for itself. */
export const itsChannel: ChannelOf = (value, path) => {
  const [, list, index] = path.split("/");
  const about =
    list === "channels" && index !== undefined
      ? (value as { channels: unknown[] }).channels[Number(index)]
      : value;
  return isObject(about) && isChannel(about.channel) ? about.channel : undefined;
};
