import type { TSchema } from "typebox";

type Json = Record<string, unknown>;

/** A schema that allows no member and no value that it does not name: what a server says beyond that is not documented. */
export function closed(schema: TSchema): TSchema {
  return close(schema as Json) as unknown as TSchema;
}

function close(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(close);
  if (typeof schema !== "object" || schema === null) return schema;
  const { properties, items, anyOf, "x-extensible-enum": known, ...rest } = schema as Json;
  return {
    ...rest,
    ...(known !== undefined && { enum: known }),
    ...(items !== undefined && { items: close(items) }),
    ...(anyOf !== undefined && { anyOf: close(anyOf) }),
    ...(properties !== undefined && { properties: each(properties as Json), additionalProperties: false }),
  };
}

function each(properties: Json): Json {
  return Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, close(schema)]));
}
