import fc from "fast-check";

/** What of JSON Schema our schemas use. */
interface Schema {
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minItems?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly examples?: readonly unknown[];
}

/** Values that fit a schema as far as its fields go; whether also what it says of several fields at once, is the caller's to see. */
export function instances(of: object): fc.Arbitrary<unknown> {
  const schema = of as Schema;
  const { type, enum: options, anyOf, properties, items } = schema;
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (options) return fc.constantFrom(...options);
  if (anyOf) return fc.oneof(...anyOf.map(instances));
  if (properties) return objects(properties, schema.required ?? []);
  if (items) return fc.array(instances(items), { minLength: schema.minItems ?? 0, maxLength: 4 });
  if (type === "string") return strings(schema);
  if (type === "integer")
    return fc.integer({ min: schema.minimum ?? 0, max: Math.min(schema.maximum ?? 1e9, 1e9) });
  if (type === "number") return fc.double({ min: 0, max: 1e9, noNaN: true });
  if (type === "boolean") return fc.boolean();
  return fc.jsonValue({ maxDepth: 2 });
}

function objects(
  properties: Readonly<Record<string, Schema>>,
  required: readonly string[],
): fc.Arbitrary<unknown> {
  const fields = Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [name, instances(schema)]),
  );
  return fc.record(fields, { requiredKeys: [...required], noNullPrototype: true });
}

function strings({ pattern, minLength = 0, maxLength = 64, examples = [] }: Schema): fc.Arbitrary<string> {
  if (pattern === undefined) return fc.string({ minLength, maxLength: Math.min(maxLength, 300) });
  // No generator looks ahead.
  if (pattern.includes("(?!")) return fc.constantFrom(...(examples as string[]));
  // Nor knows it classes of Unicode.
  return fc.stringMatching(new RegExp(pattern.replace("\\P{Cc}", "[ -~é😀]"), "u"), { maxLength: 220 });
}

/** What fits hardly anything, and what is just beyond a bound. */
const ODD: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1000,
  1001,
  2 ** 53,
  "",
  " ",
  "a b",
  "a\nb",
  "é",
  "$x",
  "ping",
  "x".repeat(64),
  "x".repeat(65),
  "x".repeat(200),
  "x".repeat(201),
  "x".repeat(256),
  "x".repeat(257),
  "😀".repeat(128),
  "😀".repeat(129),
  `${"e".repeat(128)}:1`,
  `${"e".repeat(129)}:1`,
  "e:",
  ":1",
  "e:12345678901234567",
  [],
  [null],
  [{}],
  {},
  { data: 1 },
];

/** A value with one of its members, wherever, left out or replaced by something odd. `kept` are not touched. */
export function damaged(value: unknown, kept: ReadonlySet<string>): fc.Arbitrary<unknown> {
  const places = placesOf(value, kept);
  if (places.length === 0) return fc.constant(value);
  return fc
    .tuple(fc.constantFrom(...places), fc.option(fc.constantFrom(...ODD), { nil: undefined, freq: 8 }))
    .map(([place, odd]) => put(value, place, odd));
}

type Place = readonly (string | number)[];

/** Members that a schema has something to say of: down to those of `event` and of the elements of `channels`. */
function placesOf(value: unknown, kept: ReadonlySet<string>): Place[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]): Place[] => {
    if (kept.has(name)) return [];
    const key = Array.isArray(value) ? Number(name) : name;
    const isData = name === "data";
    return [[key], ...(isData ? [] : placesOf(inner, new Set()).map((place) => [key, ...place]))];
  });
}

/** @param odd undefined: left out */
function put(value: unknown, [first, ...rest]: Place, odd: unknown): unknown {
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<
    string | number,
    unknown
  >;
  if (first === undefined) return copy;
  if (rest.length > 0) copy[first] = put(copy[first], rest, odd);
  else if (odd === undefined && !Array.isArray(copy)) delete copy[first];
  else copy[first] = odd ?? null;
  return copy;
}
