import { BlockList, isIP } from "node:net";
import { type Grant, parseRules } from "../auth/grants.ts";
import { pemBlocks } from "../auth/keys.ts";
import { isOrigin, type OriginRule } from "../auth/origin.ts";
import { type HistoryRule, parseHistory } from "../backplane/history.ts";
import { isChannelPattern } from "../protocol/channel.ts";

/**
 * A kind of option value: how its text is read. `read` throws an Error that completes the sentence
 * "TIDEGATE_X: …", and never quotes a secret.
 */
export interface Kind<T> {
  readonly name: string;
  read(text: string): T;
}

export const text: Kind<string> = { name: "text", read: (value) => value };

/** A PEM text; in one line, `\n` stands for a line break. */
export const pem: Kind<string> = {
  name: "PEM",
  read(value) {
    const lines = value.replaceAll("\\n", "\n");
    const begun = lines.split("-----BEGIN ").length - 1;
    if (begun === 0 || pemBlocks(lines).length !== begun)
      throw new Error("is no PEM text, or one that is cut off");
    return lines;
  },
};

export function integer(min: number, max: number): Kind<number> {
  return {
    name: "integer",
    read(value) {
      const number = Number(value);
      if (!/^\d+$/.test(value) || number < min || number > max) {
        throw new Error(`"${value}" is not an integer from ${min} to ${max}`);
      }
      return number;
    },
  };
}

/** Kubernetes sets TIDEGATE_PORT=tcp://… for every pod beside a service named `tidegate`. */
export const port: Kind<number> = {
  name: "port",
  read(value) {
    if (/^(tcp|udp|sctp):\/\//.test(value)) {
      throw new Error(`"${value}" was set by Kubernetes service links: enableServiceLinks: false`);
    }
    return integer(0, 65535).read(value);
  },
};

const DURATION_UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `30s` and the like, as milliseconds. */
export function duration(minMs: number, maxMs: number): Kind<number> {
  return {
    name: "duration",
    read(value) {
      const [, number, unit] = /^(\d+)(ms|s|m|h)$/.exec(value) ?? [];
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
  return {
    name: "size",
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
  return { name: kind.name, read: (value) => (value === "0" ? 0 : kind.read(value)) };
}

export function oneOf<const T extends string>(...values: readonly T[]): Kind<T> {
  return {
    name: values.join(" | "),
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
export const secrets: Kind<readonly string[]> = { name: "secrets", read: items };

export const url: Kind<string> = {
  name: "URL",
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

function json<T>(example: string, check: (value: unknown) => T): Kind<T> {
  return {
    name: "JSON",
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
  '{"public:*":["subscribe"],"user:{sub}:*":["subscribe","publish"]}',
  (value) => parseRules(value, "it"),
);

/** What channels keep. */
export const history: Kind<readonly HistoryRule[]> = json(
  '{"*":{"size":1000,"time":"10m"},"secret-*":"off"}',
  (value) => parseHistory(value, duration(1_000, 31_536_000_000).read),
);

/** Patterns of channel names, separated by spaces or commas. */
export const channels: Kind<readonly string[]> = {
  name: "channels",
  read(value) {
    const list = items(value);
    const wrong = list.find((item) => !isChannelPattern(item));
    if (wrong !== undefined)
      throw new Error(`"${wrong.slice(0, 200)}" is not a channel pattern (at most one *, at the end)`);
    return list;
  },
};
