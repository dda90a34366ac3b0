import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { printConfig } from "../src/cli/print-config.ts";
import { ConfigError, readConfig } from "../src/config/config.ts";
import { environmentName, OPTIONS, type Option, type OptionName } from "../src/config/options.ts";
import { p256, pemOf, rsa } from "./tools/forge.ts";
import { production, refused, value } from "./tools/option.ts";

describe("a duration", () => {
  it.each([
    ["500ms", 500],
    ["0s", 0],
    ["30s", 30_000],
    ["5m", 300_000],
    ["1h", 3_600_000],
  ])("%s is %i ms", (text, ms) => {
    expect(value("drain_time", text)).toBe(ms);
  });

  it.each(["30", "30 s", "-1s", "1.5s", "s", "1d", "0x1s", "1e3s", "30S", " 30s", "30s30s"])(
    "is not %j",
    (text) => {
      expect(refused("drain_time", text)).toContain("is not a duration like");
    },
  );

  it("keeps to its bounds", () => {
    expect(refused("drain_time", "61m")).toContain("is not between 0s and 3600s");
    expect(refused("heartbeat", "4s")).toContain("is not between 5s and 300s");
    expect(refused("auth_timeout", "999ms")).toContain("is not between");
    expect(value("auth_timeout", "1000ms")).toBe(1_000);
  });
});

describe("a size", () => {
  it.each([
    ["65536", 65_536],
    ["64KiB", 65_536],
    ["64 kib", 65_536],
    ["1MiB", 1_048_576],
  ])("%s is %i bytes", (text, bytes) => {
    expect(value("max_frame_bytes", text)).toBe(bytes);
  });

  it.each(["64KB", "64K", "-1", "1.5MiB", "MiB", "64KiBs", "0x10000", "Infinity"])("is not %j", (text) => {
    expect(refused("max_frame_bytes", text)).toContain("is not a size like");
  });

  it("keeps to its bounds", () => {
    expect(refused("max_frame_bytes", "1023")).toContain("is not between 1024 and");
    expect(refused("max_frame_bytes", "1GiB")).toContain("is not between 1024 and");
  });
});

describe("an integer", () => {
  it.each(["-1", "1.5", "1e3", "0x10", " 5", "", "five", "65536", "NaN", "9".repeat(400)])(
    "is not %j for a port",
    (text) => {
      if (text === "") return expect(value("port", text), "empty is unset").toBe(8080);
      expect(refused("port", text)).toContain("is not an integer from 0 to 65535");
    },
  );
});

describe("origins", () => {
  it("are separated by spaces or commas", () => {
    const both = ["https://a.example", "http://b.example:8080"];
    for (const text of [both.join(" "), both.join(","), ` ${both.join(" ,\n ")} `]) {
      expect(value("allowed_origins", text)).toEqual(both);
    }
  });

  it.each([
    "app.example.com",
    "https://a.example/",
    "https://a.example *",
    "none https://a.example",
    "null",
    "https://*.a.example",
  ])("are not %j", (text) => {
    expect(refused("allowed_origins", text)).toContain("is not an origin like https://app.example.com");
  });
});

describe("an empty list of origins", () => {
  it.each([",", " , "])("is no way to say none: %j", (text) => {
    expect(refused("allowed_origins", text)).toContain("say `none`");
  });
});

describe("networks", () => {
  const contains = (text: string, address: string, family: "ipv4" | "ipv6" = "ipv4") =>
    (value("trusted_proxies", text) as { check(address: string, family: string): boolean }).check(
      address,
      family,
    );

  it("are addresses and prefixes of both families", () => {
    const text = "10.0.0.0/8, 192.168.1.1 fd00::/8";
    expect(contains(text, "10.255.0.1")).toBe(true);
    expect(contains(text, "192.168.1.1")).toBe(true);
    expect(contains(text, "192.168.1.2")).toBe(false);
    expect(contains(text, "fd12::1", "ipv6")).toBe(true);
    expect(contains("", "10.0.0.1")).toBe(false);
  });

  it.each([
    "10.0.0.0/33",
    "10.0.0",
    "fd00::/129",
    "proxy.example",
    "10.0.0.0/x",
    "10.0.0.0/",
    "10.0.0.0/8/9",
    "10.0.0.0/-1",
  ])("are not %j", (text) => {
    expect(refused("trusted_proxies", text)).toContain("is not an address or network like 10.0.0.0/8");
  });
});

describe("keys", () => {
  it("may be several PEM texts, or one in a single line", () => {
    const two = pemOf(rsa.publicKey) + pemOf(p256.publicKey);
    expect(value("jwt_public_key", two)).toBe(two);
    expect(value("jwt_public_key", pemOf(rsa.publicKey).replaceAll("\n", "\\n"))).toBe(pemOf(rsa.publicKey));
  });

  it.each([
    ["a text that is no PEM", "MIIBIjANBg", /is no PEM text/],
    ["a private key", pemOf(rsa.privateKey), /key 1: this is a private key/],
    [
      "a private key behind a public one",
      pemOf(rsa.publicKey) + pemOf(p256.privateKey),
      /key 2: this is a private key/,
    ],
    ["a PEM text without its end", pemOf(rsa.publicKey).slice(0, 100), /TIDEGATE_JWT_PUBLIC_KEY/],
    ["a private key without its end", pemOf(rsa.privateKey).slice(0, 100), /TIDEGATE_JWT_PUBLIC_KEY/],
  ])("may not be %s", (_what, text, message) => {
    const said = refused("jwt_public_key", text);
    expect(said).toMatch(message);
    expect(said, "is not quoted").not.toContain(text.trim().slice(-10));
  });
});

describe("the JWKS URL", () => {
  it("holds no credentials, and they are not told", () => {
    for (const text of ["https://user:hunter2@issuer.example/keys", "https://hunter2@issuer.example/keys"]) {
      const said = refused("jwks_url", text);
      expect(said).toContain("holds credentials");
      expect(said).not.toContain("hunter2");
    }
  });

  it.each(["ftp://issuer.example/", "issuer.example/keys", "file:///etc/passwd", "javascript:1", "https://"])(
    "is not %j",
    (text) => {
      expect(refused("jwks_url", text)).toContain("is not an http or https URL");
    },
  );
});

describe("the Redis URL", () => {
  it.each([
    "redis://localhost",
    "redis://:p%40ss@10.0.0.5:6380/3",
    "rediss://user:password@redis.example:6380",
    "redis://[::1]:6379",
    "redis+sentinel://h1:26379,h2:26379/master",
    "rediss+sentinel://u:p@h1,h2/master",
  ])("may be %s", (text) => {
    expect(value("redis_url", text)).toBe(text);
  });

  it.each([
    "localhost:6379",
    "http://localhost",
    "redis://",
    "redis://a,b",
    "redis://localhost/name",
    "redis+sentinel://h1:26379",
    "redis://localhost:70000",
    "redis://localhost:port",
  ])("is not %s", (text) => {
    expect(refused("redis_url", text)).toContain("TIDEGATE_REDIS_URL: ");
  });
});

describe("a secret", () => {
  const secretNames = (Object.keys(OPTIONS) as OptionName[]).filter(
    (name) => (OPTIONS[name] as Option<unknown>).secret,
  );
  /** Nothing that a message would say by itself. */
  const needle = fc.stringMatching(/^[A-Za-z0-9]{20}$/);
  const around = fc.constantFrom(
    (s: string) => s,
    (s: string) => `${s}${s}`,
    (s: string) => `short ${s}`,
    (s: string) => `redis://:${s}@localhost:6379`,
    (s: string) => `redis://user:${s}@localhost:notaport`,
    (s: string) => `redis://:${s}%zz@localhost`,
    (s: string) => `redis://:${s}@h1,h2`,
    (s: string) => `redis+sentinel://:${s}@h1`,
    (s: string) => `postgres://user:${s}@localhost`,
    (s: string) => `${s}\n"quoted"`,
  );

  /** Everything that a start, or `tidegate config`, would show. */
  function shown(environment: Record<string, string>): string {
    try {
      const config = readConfig({ environment });
      return [printConfig(config), ...config.warnings].join("\n");
    } catch (error) {
      if (error instanceof ConfigError) return `${error.message}\n${error.stack}`;
      throw error;
    }
  }

  it("is in no error, no warning and no printed configuration, whatever is wrong with it", () => {
    expect(secretNames).toEqual(["jwt_secret", "redis_url"]);
    fc.assert(
      fc.property(fc.constantFrom(...secretNames), needle, around, (name, secret, wrap) => {
        expect(shown({ ...production, [environmentName(name)]: wrap(secret) })).not.toContain(secret);
      }),
      { numRuns: 500 },
    );
  });

  it("is in none of them either when it was put where the name of its file belongs", () => {
    fc.assert(
      fc.property(fc.constantFrom(...secretNames), needle, (name, secret) => {
        const { [environmentName(name)]: _replaced, ...others } = { ...production } as Record<string, string>;
        expect(shown({ ...others, [`${environmentName(name)}_FILE`]: secret })).not.toContain(secret);
      }),
      { numRuns: 50 },
    );
  });
});

describe("printConfig", () => {
  it("prints a line an option, with its source, and (secret) for a secret", () => {
    const config = readConfig({
      environment: { ...production, TIDEGATE_TRUSTED_PROXIES: "10.0.0.0/8" },
      flags: { port: "81" },
    });
    const lines = printConfig(config).split("\n");
    expect(lines[0]).toBe("# production mode");
    expect(lines).toContain("TIDEGATE_JWT_SECRET=(secret)  # environment");
    expect(lines).toContain("TIDEGATE_REDIS_URL=(not set)  # default");
    expect(lines).toContain("TIDEGATE_PORT=81  # flag");
    expect(lines.find((line) => line.startsWith("TIDEGATE_TRUSTED_PROXIES="))).toContain("10.0.0.0/8");
    expect(lines).toHaveLength(1 + Object.keys(OPTIONS).length);
  });

  it("prints what gives the same when it is read", () => {
    const environment = {
      ...production,
      TIDEGATE_HISTORY: '{"*":{"size":10,"time":"1m"},"none-*":"off"}',
      TIDEGATE_GRANTS: '{"public:*":["subscribe"]}',
      TIDEGATE_MAX_FRAME_BYTES: "16KiB",
      TIDEGATE_HEARTBEAT: "20s",
      TIDEGATE_PRESENCE: "room-* lobby",
    };
    const config = readConfig({ environment });
    const lines = printConfig(config).split("\n");
    const printed = lines.flatMap((line) => {
      const [, name = "", text = ""] = /^(\w+)=(.*) {2}# \w+$/.exec(line) ?? [];
      return name === "" || text.startsWith("(") ? [] : [[name, text] as const];
    });
    expect(printed.length).toBeGreaterThan(25);
    const again = readConfig({ environment: { ...production, ...Object.fromEntries(printed) } });
    const { sources: _, ...values } = config;
    const { sources: __, ...same } = again;
    expect(same).toEqual(values);
  });

  it("says when it is development mode", () => {
    expect(printConfig(readConfig({ environment: {} }))).toMatch(/^# development mode\n/);
  });
});
