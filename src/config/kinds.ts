import { BlockList, isIP } from "node:net";
import { ACTIONS, type Grant, parseRules } from "../auth/grants.ts";
import { pemBlocks } from "../auth/keys.ts";
import { isOrigin, type OriginRule } from "../auth/origin.ts";
import { type HistoryRule, MAX_HISTORY_RULES, MAX_HISTORY_SIZE, parseHistory } from "../backplane/history.ts";
import { isChannelPattern } from "../protocol/channel.ts";

/**
 * A kind of option value: how its text is read. `read` throws an Error that completes the sentence
 * "TIDEGATE_X: …", and never quotes a secret.
 */
export interface Kind<T> {
  readonly name: string;
  /**
   * JSON Schema of what the configuration file may have for it, for editors. It holds as far as JSON Schema goes; bounds of
   * what is written as text are told in its `description`.
   */
  readonly schema: Readonly<Record<string, unknown>>;
  read(text: string): T;
}

const TEXT = { type: "string" };
/** What is separated by spaces or commas may be a list in the file. */
const ITEMS = { anyOf: [TEXT, { type: "array", items: TEXT }] };

export const text: Kind<string> = { name: "text", schema: TEXT, read: (value) => value };

/** A PEM text; in one line, `\n` stands for a line break. */
export const pem: Kind<string> = {
  name: "PEM",
  schema: TEXT,
  read(value) {
    const lines = value.replaceAll("\\n", "\n");
    const begun = lines.split("-----BEGIN ").length - 1;
    if (begun === 0 || pemBlocks(lines).length !== begun)
      throw new Error("is no PEM text, or one that is cut off");
    return lines;
  },
};

export function integer(min: number, max: number): Kind<number> {
  const number = { type: "integer", minimum: min, maximum: max };
  return {
    name: "integer",
    schema: { anyOf: [number, { type: "string", pattern: "^\\d+$" }], description: `${min} to ${max}.` },
    read(value) {
      const number = Number(value);
      if (!/^\d+$/.test(value) || number < min || number > max) {
        throw new Error(`"${value}" is not an integer from ${min} to ${max}`);
      }
      return number;
    },
  };
}

const anyPort = integer(0, 65535);

/** Kubernetes sets TIDEGATE_PORT=tcp://… for every pod beside a service named `tidegate`. */
export const port: Kind<number> = {
  name: "port",
  schema: anyPort.schema,
  read(value) {
    if (/^(tcp|udp|sctp):\/\//.test(value)) {
      throw new Error(`"${value}" was set by Kubernetes service links: enableServiceLinks: false`);
    }
    return anyPort.read(value);
  },
};

const DURATION = /^(\d+)(ms|s|m|h)$/;
const DURATION_UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `30s` and the like, as milliseconds. */
export function duration(minMs: number, maxMs: number): Kind<number> {
  return {
    name: "duration",
    schema: {
      ...TEXT,
      pattern: DURATION.source,
      description: `${minMs / 1_000}s to ${maxMs / 1_000}s.`,
    },
    read(value) {
      const [, number, unit] = DURATION.exec(value) ?? [];
      if (!number || !unit) throw new Error(`"${value}" is not a duration like 500ms, 30s, 5m or 1h`);
      const ms = Number(number) * (DURATION_UNITS[unit] ?? 1);
      if (ms < minMs || ms > maxMs)
        throw new Error(`"${value}" is not between ${minMs / 1000}s and ${maxMs / 1000}s`);
      return ms;
    },
  };
}

const SIZE_UNITS: Record<string, number> = { "": 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3 };

/** `64KiB` and the like, as bytes. */
export function size(minBytes: number, maxBytes: number): Kind<number> {
  const bytes = { type: "integer", minimum: minBytes, maximum: maxBytes };
  const written = { type: "string", pattern: "^\\d+\\s*([kKmMgG][iI][bB])?$" };
  return {
    name: "size",
    schema: { anyOf: [bytes, written], description: `${minBytes} to ${maxBytes} bytes.` },
    read(value) {
      const [, number, unit] = /^(\d+)\s*((?:[kmg]ib)?)$/i.exec(value) ?? [];
      const bytes = Number(number) * (SIZE_UNITS[unit?.toLowerCase() ?? ""] ?? 1);
      if (!number) throw new Error(`"${value}" is not a size like 65536, 64KiB or 1MiB`);
      if (bytes < minBytes || bytes > maxBytes)
        throw new Error(`"${value}" is not between ${minBytes} and ${maxBytes} bytes`);
      return bytes;
    },
  };
}

/** A number with bounds, or 0: no limit. */
export function limit(kind: Kind<number>): Kind<number> {
  const { name, schema } = kind;
  return {
    name,
    schema: { anyOf: [{ enum: [0, "0"] }, schema], description: `0, or ${schema.description}` },
    read: (value) => (value === "0" ? 0 : kind.read(value)),
  };
}

export function oneOf<const T extends string>(...values: readonly T[]): Kind<T> {
  return {
    name: values.join(" | "),
    schema: { enum: values },
    read(value) {
      const found = values.find((one) => one === value);
      if (found === undefined) throw new Error(`"${value}" is none of ${values.join(", ")}`);
      return found;
    },
  };
}

/** Separated by spaces or commas. */
function items(value: string): string[] {
  return value.split(/[\s,]+/).filter((item) => item !== "");
}

/** Secrets, newest first. */
export const secrets: Kind<readonly string[]> = { name: "secrets", schema: ITEMS, read: items };

export const url: Kind<string> = {
  name: "URL",
  schema: { ...TEXT, pattern: "^[Hh][Tt][Tt][Pp][Ss]?://" },
  read(value) {
    if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol))
      throw new Error("is not an http or https URL");
    if (new URL(value).username !== "" || new URL(value).password !== "")
      throw new Error("holds credentials: URLs get logged");
    return value;
  },
};

export const origins: Kind<OriginRule> = {
  name: "origins",
  schema: ITEMS,
  read(value) {
    if (value === "*" || value === "same-origin" || value === "none") return value;
    const list = items(value);
    if (list.length === 0) throw new Error("is an empty list: say `none` if no browser may connect");
    const wrong = list.find((origin) => !isOrigin(origin));
    if (wrong !== undefined) {
      throw new Error(
        `"${wrong}" is not an origin like https://app.example.com (or one of *, same-origin, none alone)`,
      );
    }
    return list;
  },
};

export const networks: Kind<BlockList> = {
  name: "networks",
  schema: ITEMS,
  read(value) {
    const list = new BlockList();
    for (const item of items(value)) {
      const [address = "", bits, ...more] = item.split("/");
      const family = isIP(address);
      const widest = family === 6 ? 128 : 32;
      const prefix = Number(bits ?? widest);
      if (
        family === 0 ||
        more.length > 0 ||
        (bits !== undefined && !/^\d{1,3}$/.test(bits)) ||
        prefix > widest
      ) {
        throw new Error(`"${item}" is not an address or network like 10.0.0.0/8`);
      }
      list.addSubnet(address, prefix, family === 6 ? "ipv6" : "ipv4");
    }
    return list;
  },
};

function json<T>(schema: object, example: string, check: (value: unknown) => T): Kind<T> {
  return {
    name: "JSON",
    schema: { anyOf: [schema, TEXT] },
    read(value) {
      let parsed: unknown;
      try {
        parsed = JSON.parse(value);
      } catch {
        throw new Error(`is not JSON like ${example}`);
      }
      return check(parsed);
    },
  };
}

/** The shape of the `channels` claim. */
export const rules: Kind<readonly Grant[]> = json(
  { type: "object", additionalProperties: { type: "array", items: { enum: ACTIONS } } },
  '{"public:*":["subscribe"],"user:{sub}:*":["subscribe","publish"]}',
  (value) => parseRules(value, "it"),
);

const historyTime = duration(1_000, 31_536_000_000);
const HISTORY_SCHEMA = {
  type: "object",
  maxProperties: MAX_HISTORY_RULES,
  additionalProperties: {
    anyOf: [
      { const: "off" },
      {
        type: "object",
        required: ["size", "time"],
        additionalProperties: false,
        properties: {
          size: { type: "integer", minimum: 1, maximum: MAX_HISTORY_SIZE, description: "Events." },
          time: historyTime.schema,
        },
      },
    ],
  },
};

/** What channels keep. */
export const history: Kind<readonly HistoryRule[]> = json(
  HISTORY_SCHEMA,
  '{"*":{"size":1000,"time":"10m"},"secret-*":"off"}',
  (value) => parseHistory(value, historyTime.read),
);

/** Patterns of channel names, separated by spaces or commas. */
export const channels: Kind<readonly string[]> = {
  name: "channels",
  schema: ITEMS,
  read(value) {
    const list = items(value);
    const wrong = list.find((item) => !isChannelPattern(item));
    if (wrong !== undefined)
      throw new Error(`"${wrong.slice(0, 200)}" is not a channel pattern (at most one *, at the end)`);
    return list;
  },
};
