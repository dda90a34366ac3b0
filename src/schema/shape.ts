import { type AnySchema, type ErrorObject, Ajv2020 as Validator } from "ajv/dist/2020.js";
import type { Static, TSchema } from "typebox";
import { isChannel } from "../protocol/channel.ts";
import { type Code, RequestError } from "../protocol/codes.ts";
import { isObject } from "../protocol/json.ts";
import { parseId } from "../protocol/position.ts";

/** Words that our schemas have beside those of JSON Schema (see fields.ts). */
const WORDS = ["x-unit", "x-error", "x-rule", "x-extensible-enum"];

/** What a schema says of a value that does not fit. */
interface Rule {
  readonly "x-error"?: Code;
  readonly "x-rule"?: string;
  readonly properties?: Readonly<Record<string, Rule>>;
}

/**
 * Lengths count UTF-16 units, as the decoders of frames and tokens do. `verbose` brings along the schema that
 * was broken, for its rule; nothing of it, and of the value, is told to anybody.
 */
const validator = new Validator({
  strict: true,
  strictTypes: false,
  strictRequired: false,
  unicode: false,
  verbose: true,
  // It would warn that \`unicode\` is not the default; what is wrong in a schema throws.
  logger: false,
});
for (const word of WORDS) validator.addKeyword(word);
// Which digits a number can hold is what no pattern says in a line.
validator.addKeyword({
  keyword: "x-position",
  type: "string",
  validate: (_: true, id: string) => parseId(id) !== undefined,
});

/** Whether a value fits a schema. Compiles it: once, not for each value. */
export function fits(schema: TSchema): (value: unknown) => boolean {
  const check = validator.compile(schema as AnySchema);
  return (value) => check(value) === true;
}

/**
 * A check that gives the value back, typed, or says by code and message which rule it breaks. Compiles the schema.
 * @returns throws {RequestError} of the first rule that is broken; its channel is the one that is given, or else that of
 * the innermost object with one around what is wrong
 */
export function shape<S extends TSchema>(schema: S): (value: unknown, channel?: string) => Static<S> {
  const check = validator.compile(schema as AnySchema);
  return (value, channel) => {
    if (check(value)) return value as Static<S>;
    const errors = (check.errors ?? []).map((error) => ({ rule: ruleOf(error), path: error.instancePath }));
    const { rule, path } = errors.find((error) => error.rule?.["x-error"] !== undefined) ?? { path: "" };
    throw new RequestError(rule?.["x-error"] ?? "bad_frame", rule?.["x-rule"], {
      channel: channel ?? channelAround(value, path),
    });
  };
}

/** Of a member that is missing, that member's; else that of the schema whose word was broken. */
function ruleOf({ keyword, params, parentSchema }: ErrorObject): Rule | undefined {
  const broken = parentSchema as Rule | undefined;
  if (keyword !== "required") return broken;
  return broken?.properties?.[String(params.missingProperty)] ?? broken;
}

/** @param path a JSON pointer */
function channelAround(value: unknown, path: string): string | undefined {
  let found: string | undefined;
  let at = value;
  for (const step of path.split("/")) {
    if (step !== "") at = (at as Readonly<Record<string, unknown>>)[step];
    if (isObject(at) && isChannel(at.channel)) found = at.channel;
  }
  return found;
}
