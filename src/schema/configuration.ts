import { type TSchema, Type } from "typebox";
import { OPTIONS, type Option, type OptionName } from "../config/options.ts";

/*
 * The file of TIDEGATE_CONFIG, for editors: docs/configuration.schema.json. What options go together, and what can only be
 * found out by reading their text, `tidegate config` says.
 */

/** Every option by its name in the file; others are refused there too. */
export function configurationSchema(): TSchema {
  const properties = (Object.entries(OPTIONS) as [OptionName, Option<unknown>][]).map(([name, option]) => {
    const { kind, about, default: fallback } = option;
    const { description, ...schema } = kind.schema;
    return [
      name,
      Type.Optional(
        Type.Unsafe({
          ...schema,
          description: description === undefined ? about : `${about} ${description as string}`,
          ...(fallback !== undefined && { default: fallback }),
        }),
      ),
    ];
  });
  return Type.Object(Object.fromEntries(properties), {
    title: "The configuration file of Tidegate",
    additionalProperties: false,
  });
}
