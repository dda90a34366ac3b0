import type { TSchema } from "typebox";
import { channel, code, eventId, ref, user } from "../schema/fields.ts";

type Json = Record<string, unknown>;

/** Of fields that are described anew where they are used. */
const DESCRIPTIONS = new Map(
  ([channel, eventId, ref, user, code] as TSchema[] as Json[]).map(({ title, description }) => [
    title,
    description,
  ]),
);

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
      Object.entries(schema).map(([word, value]) => {
        if (word === "properties" || word === "patternProperties") return [word, this.#each(value as Json)];
        if (word === "items") return [word, this.refer(value as TSchema)];
        if (word === "anyOf") return [word, (value as TSchema[]).map((one) => this.refer(one))];
        return [word, value];
      }),
    );
  }

  #each(schemas: Json): Json {
    return Object.fromEntries(
      Object.entries(schemas).map(([name, schema]) => [name, this.refer(schema as TSchema)]),
    );
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
