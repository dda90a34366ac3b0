import type { TSchema } from "typebox";
import { channel, code, eventId, ref, user } from "../schema/fields.ts";
import { cursor } from "./operations/events.ts";

type Json = Record<string, unknown>;

/** Of fields that are described anew where they are used. */
const DESCRIPTIONS = new Map(
  ([channel, eventId, ref, user, code, cursor] as TSchema[] as Json[]).map(({ title, description }) => [
    title,
    description,
  ]),
);

/* The words of JSON Schema that hold schemas: one, a list, or one by each name. In all else no schema has a name. */
const ONE = new Set(["items", "additionalProperties", "not"]);
const LIST = new Set(["anyOf", "allOf", "oneOf"]);
const BY_NAME = new Set(["properties", "patternProperties"]);

/**
 * Gathers the schemas that have names, so that a document holds each once and points at it.
 *
 * @throws {Error} when two different schemas have one name
 */
export class Components {
  readonly schemas: Record<string, Json> = {};

  /** The schema with a reference in place of each named one in it, and of itself. What is said of it here is kept. */
  refer(schema: TSchema): Json {
    const { description } = schema as Json;
    const reference = this.referPlainly(schema);
    if (!("$ref" in reference)) return { ...(description !== undefined && { description }), ...reference };
    if (this.schemas[(schema as { title: string }).title]?.description === description) return reference;
    // AsyncAPI allows nothing beside a reference.
    return { description, allOf: [reference] };
  }

  /** Likewise, of something that is described elsewhere. */
  referPlainly(schema: TSchema): Json {
    const { title, description, ...shape } = this.#within(schema as Json);
    if (typeof title !== "string") return shape;
    const found = this.schemas[title];
    if (!found)
      this.schemas[title] = { title, description: DESCRIPTIONS.get(title) ?? description, ...shape };
    else if (!sameShape(found, shape)) throw new Error(`two schemas are named ${title}`);
    return { $ref: `#/components/schemas/${title}` };
  }

  #within(schema: Json): Json {
    return Object.fromEntries(
      Object.entries(schema).map(([word, value]) => [word, this.#behind(word, value)]),
    );
  }

  #behind(word: string, value: unknown): unknown {
    if (ONE.has(word) && typeof value === "object") return this.refer(value as TSchema);
    if (LIST.has(word)) return (value as TSchema[]).map((one) => this.refer(one));
    if (!BY_NAME.has(word)) return value;
    const schemas = Object.entries(value as Record<string, TSchema>);
    return Object.fromEntries(schemas.map(([name, one]) => [name, this.refer(one)]));
  }
}

/** Rules are told where they are broken: a field's name is part of them. */
function sameShape(a: Json, b: Json): boolean {
  const told = new Set(["title", "description", "x-rule"]);
  const text = (of: Json) =>
    JSON.stringify(
      Object.entries(of)
        .filter(([word]) => !told.has(word))
        .sort(),
    );
  return text(a) === text(b);
}
