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
  readonly additionalProperties?: boolean | Schema;
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
  readonly "x-extensible-enum"?: readonly unknown[];
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

/** A field, or what is sent as one: a parameter. */
interface Field {
  readonly name: string;
  /** What is said beside the name; empty: nothing. */
  readonly note: string;
  readonly schema: Schema;
}

/**
 * The fields of an object; of those within it that have no name of their own too, as `outer.inner` and `list[].inner`.
 * Before them the rules that no single field breaks.
 * @param named what the document calls by name
 */
export function fieldTable(schema: Schema, named: Schemas, direction: Direction): string {
  const rules = rulesOf(schema, direction).map((rule) => `<li>${rule}</li>`);
  const list = rules.length > 0 ? `<ul>${rules.join("")}</ul>` : "";
  return list + tableOf("field", fieldsOf(schema, ""), named, direction);
}

/** @param what they are called */
export function tableOf(
  what: string,
  fields: readonly Field[],
  named: Schemas,
  direction: Direction,
): string {
  const rows = fields.map(({ name, note, schema }) => [
    `<code class="name">${escaped(name)}</code>${note && ` <span class="quiet">${note}</span>`}`,
    typeOf(schema),
    about(schema, named, direction),
  ]);
  return table([what, "type", "what it is"], rows);
}

function fieldsOf({ properties = {}, required = [] }: Schema, prefix: string): Field[] {
  return Object.entries(properties).flatMap(([key, schema]) => {
    const name = prefix + key;
    return [{ name, note: required.includes(key) ? "" : "optional", schema }, ...innerFields(schema, name)];
  });
}

function innerFields(schema: Schema, path: string): Field[] {
  if (schema.properties) return fieldsOf(schema, `${path}.`);
  return schema.items ? innerFields(schema.items, `${path}[]`) : [];
}

/** The type in words: what JSON it is, and its bounds. */
export function typeOf(schema: Schema): string {
  const name = nameOf(schema);
  if (name) return link(typeAnchor(name), escaped(name));
  if (schema.const !== undefined) return value(schema.const);
  if (schema.enum) return schema.enum.map(value).join(" ");
  const known = schema["x-extensible-enum"];
  if (known) return `one of ${known.map(value).join(" ")} <span class="quiet">(others may come)</span>`;
  const either = schema.anyOf ?? schema.oneOf;
  if (either?.every((one) => nameOf(one) || one.type)) return either.map(typeOf).join(" or ");
  if (schema.items) return `list of ${typeOf(schema.items)}${bounds(schema.minItems, schema.maxItems)}`;
  if (typeof schema.additionalProperties === "object")
    return `object of ${typeOf(schema.additionalProperties)}`;
  const unit = schema["x-unit"] ? ` <span class="quiet">${escaped(schema["x-unit"])}</span>` : "";
  return `${schema.type ?? "any JSON"}${bounds(schema.minimum, schema.maximum)}${characters(schema)}${unit}`;
}

function value(one: unknown): string {
  return `<code>${escaped(JSON.stringify(one))}</code>`;
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
  const schema = resolved(field, named);
  const parts = [inline(schema.description ?? "")];
  if (schema.default !== undefined) parts.push(`Default: ${value(schema.default)}.`);
  if (direction === "sent") parts.push(elseOf(codesOf(schema, named)));
  // Of an object that has a section of its own the rules stand there.
  if (!nameOf(field)) parts.push(...rulesOf(field, direction));
  if (field.items && !nameOf(field.items)) parts.push(...rulesOf(field.items, direction));
  return parts.filter((part) => part !== "").join(" ");
}

function resolved(schema: Schema, named: Schemas): Schema {
  return { ...named[nameOf(schema) ?? ""], ...schema };
}

/** What a value that does not fit is answered with; of a list, also one within it. */
function codesOf(schema: Schema, named: Schemas): string[] {
  const own = schema["x-error"];
  const within = schema.items ? codesOf(resolved(schema.items, named), named) : [];
  return [...new Set([...(own === undefined ? [] : [own]), ...within])];
}

/** The rules between fields. */
function rulesOf({ allOf = [] }: Schema, direction: Direction): string[] {
  return allOf.flatMap(({ "x-rule": rule, "x-error": code }) => {
    if (rule === undefined) return [];
    const sentence = `${inline(rule.charAt(0).toUpperCase() + rule.slice(1))}.`;
    return direction === "sent" && code ? `${sentence} ${elseOf([code])}` : sentence;
  });
}

function elseOf(codes: readonly string[]): string {
  return codes.length === 0 ? "" : `<span class="quiet">Else ${codes.map(codeLink).join(" or ")}.</span>`;
}

export function codeLink(code: string): string {
  return link(code, `<code>${escaped(code)}</code>`);
}

/** What a type is, for its own section: fields, or what it may be. */
export function typeBody(schema: Schema, named: Schemas, direction: Direction): string {
  if (schema.properties) return fieldTable(schema, named, direction);
  const { pattern } = schema;
  const form = pattern ? `<p>Form: <code>${escaped(pattern)}</code></p>` : "";
  const wrong = direction === "sent" ? elseOf(codesOf(schema, named)) : "";
  return `<p>${typeOf(schema)} ${wrong}</p>${form}`;
}
