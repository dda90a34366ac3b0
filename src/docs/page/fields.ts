import { escaped, inline, link, table } from "./html.ts";

/** A schema as a document has it. */
export interface Schema {
  readonly title?: string;
  readonly description?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly $ref?: string;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly "x-unit"?: string;
  readonly "x-error"?: string;
  readonly "x-rule"?: string;
}

/** Where the types of both documents stand on the page. */
export function typeAnchor(name: string): string {
  return `type-${name}`;
}

/** The name that a schema refers to: by itself, or with another description. */
export function nameOf({ $ref, allOf }: Schema): string | undefined {
  const reference = $ref ?? (allOf?.length === 1 ? allOf[0]?.$ref : undefined);
  return reference?.slice(reference.lastIndexOf("/") + 1);
}

export type Schemas = Readonly<Record<string, Schema>>;

/** Whether a client sends it, and can be told that it is wrong. */
export type Direction = "sent" | "received";

/**
 * The fields of an object; of those within it that have no name of their own too, as `outer.inner` and `list[].inner`.
 * @param named what the document calls by name
 */
export function fieldTable(schema: Schema, named: Schemas, direction: Direction): string {
  const rows = fieldRows(schema, "", (field) => about(field, named, direction));
  return table(["field", "type", "what it is"], rows);
}

type About = (field: Schema) => string;

function fieldRows({ properties = {}, required = [] }: Schema, prefix: string, about: About): string[][] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const path = prefix + name;
    const optional = required.includes(name) ? "" : ' <span class="quiet">optional</span>';
    const head = `<code class="name">${escaped(path)}</code>${optional}`;
    return [[head, typeOf(schema), about(schema)], ...innerRows(schema, path, about)];
  });
}

function innerRows(schema: Schema, path: string, about: About): string[][] {
  if (schema.properties) return fieldRows(schema, `${path}.`, about);
  return schema.items ? innerRows(schema.items, `${path}[]`, about) : [];
}

/** The type in words: what JSON it is, and its bounds. */
export function typeOf(schema: Schema): string {
  const name = nameOf(schema);
  if (name) return link(typeAnchor(name), escaped(name));
  if (schema.const !== undefined) return `<code>${escaped(JSON.stringify(schema.const))}</code>`;
  if (schema.enum) return schema.enum.map((one) => `<code>${escaped(JSON.stringify(one))}</code>`).join(" ");
  const either = schema.anyOf ?? schema.oneOf;
  if (either?.every((one) => nameOf(one) || one.type)) return either.map(typeOf).join(" or ");
  if (schema.items) return `list of ${typeOf(schema.items)}${bounds(schema.minItems, schema.maxItems)}`;
  if (schema.patternProperties)
    return `object of ${Object.values(schema.patternProperties).map(typeOf).join(" or ")}`;
  const unit = schema["x-unit"] ? ` <span class="quiet">${escaped(schema["x-unit"])}</span>` : "";
  return `${schema.type ?? "any JSON"}${bounds(schema.minimum, schema.maximum)}${characters(schema)}${unit}`;
}

function bounds(min: number | undefined, max: number | undefined): string {
  if (max === undefined || max === Number.MAX_SAFE_INTEGER)
    return min === undefined || min === 0 ? "" : `, at least ${min}`;
  return ` ${min ?? 0}–${max.toLocaleString("en")}`;
}

function characters({ minLength, maxLength }: Schema): string {
  return maxLength === undefined ? "" : `, ${minLength ?? 0}–${maxLength} characters`;
}

/** What is said of a field where it stands, and else of its type. */
function about(field: Schema, named: Schemas, direction: Direction): string {
  const schema = { ...named[nameOf(field) ?? ""], ...field };
  const parts = [inline(schema.description ?? "")];
  if (schema.default !== undefined)
    parts.push(`Default: <code>${escaped(JSON.stringify(schema.default))}</code>.`);
  const code = schema["x-error"];
  if (code && direction === "sent") parts.push(`<span class="quiet">Else ${codeLink(code)}.</span>`);
  return parts.join(" ");
}

export function codeLink(code: string): string {
  return link(code, `<code>${escaped(code)}</code>`);
}

/** What a type is, for its own section: fields, or what it may be. */
export function typeBody(schema: Schema, named: Schemas): string {
  const { pattern } = schema;
  const form = pattern ? `<p>Form: <code>${escaped(pattern)}</code></p>` : "";
  if (schema.properties) return fieldTable(schema, named, "received");
  return `<p>${typeOf(schema)}</p>${form}`;
}
