import { type TSchema, Type } from "typebox";
import { OPTIONS, type Option, type OptionName } from "../config/options.ts";

/*
 * The file of TIDEGATE_CONFIG, for editors: docs/configuration.schema.json. It knows the kinds of options, not what each
 * kind checks further (bounds, origins, patterns): `tidegate config` says all that.
 */

const items = Type.Union([Type.String(), Type.Array(Type.String())]);
const number = Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: "^\\d+$" })]);

/** By the name of the kind. */
const KINDS: Readonly<Record<string, TSchema>> = {
  text: Type.String(),
  PEM: Type.String(),
  URL: Type.String({ pattern: "^https?://" }),
  integer: number,
  port: number,
  duration: Type.String({ pattern: "^\\d+(ms|s|m|h)$" }),
  size: Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: "^\\d+\\s*([kKmMgG][iI][bB])?$" })]),
  secrets: items,
  origins: items,
  networks: items,
  channels: items,
  JSON: Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.String()]),
};

/** @throws {Error} naming a kind that this does not know */
function kindOf(name: string): TSchema {
  const known = KINDS[name];
  if (known) return known;
  if (name.includes(" | ")) return Type.Enum(name.split(" | "));
  throw new Error(`no schema for options of the kind ${name}`);
}

/** Every option by its name in the file; others are refused there too. */
export function configurationSchema(): TSchema {
  const properties = (Object.entries(OPTIONS) as [OptionName, Option<unknown>][]).map(([name, option]) => {
    const { kind, about, default: fallback } = option;
    const schema = {
      ...kindOf(kind.name),
      description: about,
      ...(fallback !== undefined && { default: fallback }),
    };
    return [name, Type.Optional(schema)];
  });
  return Type.Object(Object.fromEntries(properties), {
    title: "The configuration file of Tidegate",
    additionalProperties: false,
  });
}
