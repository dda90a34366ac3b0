import { ConfigError, readConfig } from "../../src/config/config.ts";
import { environmentName, type OptionName } from "../../src/config/options.ts";
import { SECRET } from "./forge.ts";

export const production = { TIDEGATE_JWT_SECRET: SECRET, TIDEGATE_ALLOWED_ORIGINS: "none" };

/** One option read from the environment, in an otherwise good configuration. */
export function value<N extends OptionName>(name: N, text: string): ReturnType<typeof readConfig>[N] {
  return readConfig({ environment: { ...production, [environmentName(name)]: text } })[name];
}

/** Why an option is refused. @throws {Error} when it is not */
export function refused(name: OptionName, text: string): string {
  try {
    value(name, text);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error(`${name} took ${text}`);
}
