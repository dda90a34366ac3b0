import type { Config } from "../config/config.ts";
import { environmentName, OPTIONS, type Option, type OptionName } from "../config/options.ts";

/** The effective configuration, a line an option with its source. Secrets are never shown. */
export function printConfig(config: Config): string {
  const rows = (Object.keys(OPTIONS) as OptionName[]).map((name) => {
    const option: Option<unknown> = OPTIONS[name];
    const value = config[name];
    const shown = value === undefined ? "(not set)" : option.secret ? "(secret)" : show(value);
    return `${environmentName(name)}=${shown}  # ${config.sources[name]}`;
  });
  return [`# ${config.development ? "development" : "production"} mode`, ...rows].join("\n");
}

function show(value: unknown): string {
  if (typeof value === "object" && value !== null && "rules" in value)
    return (value.rules as string[]).join(" ");
  return typeof value === "string" ? value.replaceAll("\n", "\\n") : JSON.stringify(value);
}

/** The table of options in README.md. */
export function optionTable(): string {
  const rows = (Object.keys(OPTIONS) as OptionName[]).map((name) => {
    const option: Option<unknown> = OPTIONS[name];
    const fallback = [
      option.default || "–",
      option.development === undefined ? [] : `development: ${option.development}`,
    ]
      .flat()
      .join("; ");
    const file = option.file ? ` (or \`${environmentName(name)}_FILE\`)` : "";
    return `| \`${environmentName(name)}\`${file} | ${option.kind.name.replaceAll("|", "\\|")} | ${fallback} | ${option.about.replaceAll("|", "\\|")} |`;
  });
  return ["| variable | kind | default | what it is |", "|---|---|---|---|", ...rows].join("\n");
}
