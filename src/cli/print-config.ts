import type { Config } from "../config/config.ts";
import { environmentName, OPTIONS, type Option, type OptionName } from "../config/options.ts";

/** The effective configuration as it would be written, a line an option with its source. Secrets are never shown. */
export function printConfig(config: Config): string {
  const rows = (Object.keys(OPTIONS) as OptionName[]).map((name) => {
    const option: Option<unknown> = OPTIONS[name];
    const text = config.texts[name]?.replaceAll("\n", "\\n");
    const shown = text === undefined ? "(not set)" : option.secret ? "(secret)" : text;
    return `${environmentName(name)}=${shown}  # ${config.sources[name]}`;
  });
  return [`# ${config.development ? "development" : "production"} mode`, ...rows].join("\n");
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
