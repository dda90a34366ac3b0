import { type TSchema, Type } from "typebox";
import type { Components } from "../components.ts";
import { OPERATIONS } from "../operations/operations.ts";

type Json = Record<string, unknown>;

/* With what query a WebSocket or a stream is asked for: the parameters that the OpenAPI document has. */

const TOKEN = Type.String({ description: "The token, where there is no better place for it." });

/** What the handshake of a WebSocket may ask for. */
export function webSocketBinding(components: Components): Json {
  return { ws: { method: "GET", query: queryOf("connect", components), bindingVersion: "0.1.0" } };
}

/**
 * What an event stream may be asked for.
 * @param id of the operation in OPERATIONS
 * @param names of those of its parameters that are a stream's; all when left out
 */
export function streamBinding(id: string, components: Components, names?: readonly string[]): Json {
  return { http: { method: "GET", query: queryOf(id, components, names), bindingVersion: "0.3.0" } };
}

function queryOf(id: string, components: Components, names?: readonly string[]): Json {
  const operation = OPERATIONS.find((one) => one.id === id);
  if (!operation) throw new Error(`there is no operation ${id}`);
  const parameters = operation.parameters.filter(
    ({ name, in: place }) => place === "query" && (names?.includes(name) ?? true),
  );
  const fields = parameters.map(({ name, schema, required }): [string, TSchema] => [
    name,
    required ? schema : Type.Optional(schema),
  ]);
  return components.refer(Type.Object({ ...Object.fromEntries(fields), token: Type.Optional(TOKEN) }));
}
