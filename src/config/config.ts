import { readFileSync } from "node:fs";
import { isObject } from "../protocol/json.ts";
import { check } from "./check.ts";
import { environmentName, OPTIONS, type Option, type OptionName, type Values } from "./options.ts";

export type Source = "flag" | "environment" | "file" | "default";

export interface Config extends Values {
  /** No secret, key or JWKS URL is configured. */
  readonly development: boolean;
  readonly sources: Readonly<Record<OptionName, Source>>;
  /** Each value as it is written; undefined: none. */
  readonly texts: Readonly<Record<OptionName, string | undefined>>;
  /** What is odd but no reason not to start. */
  readonly warnings: readonly string[];
}

/** Every problem of a configuration, one a line. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(
      `the configuration has ${problems.length === 1 ? "a problem" : `${problems.length} problems`}:\n${problems.map((p) => `  - ${p}`).join("\n")}`,
    );
    this.problems = problems;
  }
}

export interface ConfigInput {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** By option name. */
  readonly flags?: Readonly<Partial<Record<OptionName, string>>>;
  /** Path of a JSON file whose keys are the option names. Default: TIDEGATE_CONFIG. */
  readonly file?: string | undefined;
  /** False for commands that open no port: they need no origin list. */
  readonly serving?: boolean;
}

const NAMES = Object.keys(OPTIONS) as OptionName[];

/** Flag over environment over file over default. @throws {ConfigError} with all problems at once */
export function readConfig({
  environment,
  flags = {},
  file = environment.TIDEGATE_CONFIG,
  serving = true,
}: ConfigInput): Config {
  const problems: string[] = [];
  /** Variables whose value is not known. */
  const unread: string[] = [];
  const fromFile = file ? readFile(file, problems) : {};
  const sources = {} as Record<OptionName, Source>;
  const texts = {} as Record<OptionName, string | undefined>;
  for (const name of NAMES) {
    const environmentText = fromEnvironment(name, environment, problems, unread);
    texts[name] = flags[name] ?? environmentText ?? fromFile[name];
    sources[name] =
      flags[name] !== undefined
        ? "flag"
        : environmentText !== undefined
          ? "environment"
          : fromFile[name] !== undefined
            ? "file"
            : "default";
  }
  const development = [texts.jwt_secret, texts.jwt_public_key, texts.jwks_url].every(
    (text) => text === undefined,
  );
  const values: Record<string, unknown> = {};
  for (const name of NAMES) {
    const option: Option<unknown> = OPTIONS[name];
    const fallback = development ? (option.development ?? option.default) : option.default;
    const read = (text: string | undefined) => (text === undefined ? undefined : option.kind.read(text));
    texts[name] = unread.includes(environmentName(name)) ? fallback : (texts[name] ?? fallback);
    try {
      values[name] = read(texts[name]);
    } catch (error) {
      problems.push(`${environmentName(name)}: ${(error as Error).message}`);
      unread.push(environmentName(name));
      values[name] = read(fallback); // so that the others can still be checked together
    }
  }
  const config = {
    ...(values as unknown as Values),
    development,
    sources,
    texts,
    warnings: unknownVariables(environment),
  };
  problems.push(
    ...check(config, serving).filter((problem) => !unread.some((name) => problem.startsWith(name))),
  );
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** An empty variable is an unset one. */
function fromEnvironment(
  name: OptionName,
  environment: ConfigInput["environment"],
  problems: string[],
  unread: string[],
): string | undefined {
  const variable = environmentName(name);
  const direct = environment[variable] || undefined;
  const option: Option<unknown> = OPTIONS[name];
  const path = option.file ? environment[`${variable}_FILE`] || undefined : undefined;
  if (path === undefined) return direct;
  if (direct !== undefined) problems.push(`${variable} and ${variable}_FILE are both set`);
  // Somebody may have put the secret itself where its file's name belongs.
  const file = option.secret ? "its file" : path;
  let problem = "is empty";
  try {
    const content = readFileSync(path, "utf8").trim();
    if (content !== "") return content;
  } catch (error) {
    problem = `cannot be read (${(error as NodeJS.ErrnoException).code})`;
  }
  problems.push(`${variable}_FILE: ${file} ${problem}`);
  unread.push(variable);
  return ""; // a secret that is not mounted yet is no reason for development mode
}

function readFile(path: string, problems: string[]): Partial<Record<OptionName, string>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    problems.push(`the file ${path}: ${(error as NodeJS.ErrnoException).code ?? "is not JSON"}`);
    return {};
  }
  if (!isObject(parsed)) {
    problems.push(`the file ${path}: holds one JSON object`);
    return {};
  }
  const found: Partial<Record<OptionName, string>> = {};
  for (const [key, value] of Object.entries(parsed)) {
    if (!Object.hasOwn(OPTIONS, key)) problems.push(`the file ${path}: "${key}" is no option`);
    else if (value === null) problems.push(`the file ${path}: "${key}" is null: leave it out`);
    else found[key as OptionName] = asText(value);
  }
  return found;
}

/** In the file a list may be a JSON list, a number a JSON number, grants a JSON object. */
function asText(value: unknown): string {
  if (Array.isArray(value)) return value.join(" ");
  return isObject(value) ? JSON.stringify(value) : String(value);
}

/** What Kubernetes sets for services whose name begins with `tidegate`; TIDEGATE_X_PORT is told by its value. */
const SERVICE_LINK = /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/;
const LINK_VALUE = /^(tcp|udp|sctp):\/\//;

function unknownVariables(environment: ConfigInput["environment"]): string[] {
  const known = new Set([
    ...NAMES.map(environmentName),
    ...NAMES.filter((name) => (OPTIONS[name] as Option<unknown>).file).map(
      (name) => `${environmentName(name)}_FILE`,
    ),
    "TIDEGATE_CONFIG",
  ]);
  return Object.keys(environment)
    .filter((name) => name.startsWith("TIDEGATE_") && !known.has(name))
    .filter((name) => !SERVICE_LINK.test(name) && !LINK_VALUE.test(environment[name] ?? ""))
    .map((name) => `${name} is no option: a typing error?`);
}
