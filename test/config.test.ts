import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Config, ConfigError, type ConfigInput, readConfig } from "../src/config/config.ts";
import { environmentName, flagName, OPTIONS, type Option, type OptionName } from "../src/config/options.ts";
import { pemOf, rsa, SECRET } from "./tools/forge.ts";

const production = { TIDEGATE_JWT_SECRET: SECRET, TIDEGATE_ALLOWED_ORIGINS: "none" };
const names = Object.keys(OPTIONS) as OptionName[];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tidegate-config-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

function read(environment: ConfigInput["environment"] = {}, more: Partial<ConfigInput> = {}): Config {
  return readConfig({ environment: { ...production, ...environment }, ...more });
}

function problems(
  environment: ConfigInput["environment"],
  more: Partial<ConfigInput> = {},
): readonly string[] {
  try {
    readConfig({ environment, ...more });
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

/** The problems of one variable in an otherwise good configuration. */
function problem(variable: string, value: string): string {
  return problems({ ...production, [variable]: value }).join("\n");
}

describe("the table of options", () => {
  it.each(names)("reads its own defaults of %s", (name) => {
    const row: Option<unknown> = OPTIONS[name];
    for (const text of [row.default, row.development]) {
      if (text !== undefined) expect(() => row.kind.read(text)).not.toThrow();
    }
    expect(row.about).toMatch(/^[A-Z].*[.]$|^redis/);
  });

  it("gives each option a variable and a flag", () => {
    expect(environmentName("max_frame_bytes")).toBe("TIDEGATE_MAX_FRAME_BYTES");
    expect(flagName("max_frame_bytes")).toBe("--max-frame-bytes");
  });

  it("lets a file hold everything that is a secret", () => {
    for (const name of names) {
      const row: Option<unknown> = OPTIONS[name];
      if (row.secret) expect(row.file, name).toBe(true);
    }
  });
});

describe("precedence", () => {
  it("puts the flag over the environment over the file over the default", () => {
    const path = file("precedence.json", { port: 1, admin_port: 1, heartbeat: "11s", host: "127.0.0.9" });
    const config = read(
      { TIDEGATE_PORT: "2", TIDEGATE_ADMIN_PORT: "2", TIDEGATE_CONFIG: path },
      { flags: { port: "3" } },
    );
    expect(config).toMatchObject({ port: 3, admin_port: 2, heartbeat: 11_000, pong_timeout: 10_000 });
    expect(config.sources).toMatchObject({
      port: "flag",
      admin_port: "environment",
      heartbeat: "file",
      pong_timeout: "default",
    });
  });

  it("puts the file that the caller names over that of TIDEGATE_CONFIG", () => {
    const [named, other] = [file("named.json", { port: 1 }), file("other.json", { port: 2 })];
    expect(read({ TIDEGATE_CONFIG: other }, { file: named }).port).toBe(1);
  });

  it("takes an empty variable for an unset one", () => {
    const path = file("empty.json", { port: 7 });
    const config = read({
      TIDEGATE_PORT: "",
      TIDEGATE_CONFIG: path,
      TIDEGATE_REDIS_URL: "",
      TIDEGATE_JWT_SECRET_FILE: "",
    });
    expect(config.port).toBe(7);
    expect(config.redis_url).toBeUndefined();
    expect(read({ TIDEGATE_CONFIG: "" }).port).toBe(8080);
  });
});

describe("a variable with _FILE", () => {
  it("names a file that holds the value, without the line break at its end", () => {
    const secret = file("secret", `${SECRET}\n`);
    const config = readConfig({
      environment: { TIDEGATE_JWT_SECRET_FILE: secret, TIDEGATE_ALLOWED_ORIGINS: "none" },
    });
    expect(config.jwt_secret).toEqual([SECRET]);
    expect(config.sources.jwt_secret).toBe("environment");
    expect(config.development).toBe(false);
  });

  it("is a problem beside the variable itself", () => {
    const secret = file("both", SECRET);
    expect(problems({ ...production, TIDEGATE_JWT_SECRET_FILE: secret })).toEqual([
      "TIDEGATE_JWT_SECRET and TIDEGATE_JWT_SECRET_FILE are both set",
    ]);
  });

  it("is a problem when it cannot be read", () => {
    const found = problem("TIDEGATE_REDIS_URL_FILE", join(folder, "missing"));
    expect(found).toMatch(/^TIDEGATE_REDIS_URL_FILE: .*\(ENOENT\)$/);
  });

  it("is a problem when the file is empty, and never a reason for development mode", () => {
    const empty = file("empty-secret", "\n");
    expect(problems({ TIDEGATE_JWT_SECRET_FILE: empty }).join()).toContain("TIDEGATE_JWT_SECRET_FILE");
  });

  it("is warned about where an option takes no file", () => {
    const config = read({ TIDEGATE_PORT_FILE: file("port", "1234") });
    expect(config.port).toBe(8080);
    expect(config.warnings.join()).toContain("TIDEGATE_PORT_FILE");
  });
});

describe("the file", () => {
  it("may hold numbers, lists and objects as JSON has them", () => {
    const path = file("json.json", {
      port: 1234,
      allowed_origins: ["https://a.example", "https://b.example"],
      grants: { "public:*": ["subscribe"] },
      jwt_secret: [SECRET, "another-secret-that-has-32-bytes-too"],
    });
    const config = readConfig({ environment: {}, file: path });
    expect(config).toMatchObject({
      port: 1234,
      allowed_origins: ["https://a.example", "https://b.example"],
      grants: [{ pattern: "public:*", actions: ["subscribe"] }],
    });
    expect(config.jwt_secret).toHaveLength(2);
  });

  it.each([
    ["is missing", undefined, /ENOENT/],
    ["is no JSON", "{port: 1}", /is not JSON/],
    ["is a list", "[]", /holds one JSON object/],
    ["is null", "null", /holds one JSON object/],
    ["has a key that is no option", '{"prot":1}', /"prot" is no option/],
    ["has a key that every object has", '{"constructor":1}', /"constructor" is no option/],
    ["has a variable's name for a key", '{"TIDEGATE_PORT":1}', /"TIDEGATE_PORT" is no option/],
    ["has a value of the wrong kind", '{"port":true}', /TIDEGATE_PORT: "true" is not an integer/],
    ["has a value that is null", '{"node_id":null}', /node_id|NODE_ID/],
  ])("is a problem when it %s", (_what, content, message) => {
    const path = content === undefined ? join(folder, "none.json") : file("bad.json", content);
    expect(problems(production, { file: path }).join("\n")).toMatch(message);
  });
});

describe("development mode", () => {
  it("is what a node is in without a secret, a key or a JWKS URL", () => {
    const config = readConfig({ environment: {} });
    expect(config).toMatchObject({
      development: true,
      host: "127.0.0.1",
      admin_host: "127.0.0.1",
      allowed_origins: "*",
      drain_time: 0,
    });
  });

  it.each([
    ["a secret", { TIDEGATE_JWT_SECRET: SECRET }],
    ["a public key", { TIDEGATE_JWT_PUBLIC_KEY: pemOf(rsa.publicKey) }],
    ["a JWKS URL", { TIDEGATE_JWKS_URL: "https://issuer.example/keys" }],
  ])("ends with %s", (_what, environment) => {
    const config = readConfig({ environment: { ...environment, TIDEGATE_ALLOWED_ORIGINS: "none" } });
    expect(config).toMatchObject({ development: false, drain_time: 25_000 });
  });

  it.each(["127.0.0.1", "127.8.9.1", "::1", "localhost"])("may bind to %s", (host) => {
    expect(readConfig({ environment: { TIDEGATE_HOST: host, TIDEGATE_ADMIN_HOST: host } }).host).toBe(host);
  });

  it.each([
    "0.0.0.0",
    "::",
    "10.0.0.1",
    "192.168.1.1",
    "127.0.0.1.evil.example",
    "example.com",
    "1270.0.0.1",
  ])("may not bind to %s, with either port", (host) => {
    for (const variable of ["TIDEGATE_HOST", "TIDEGATE_ADMIN_HOST"]) {
      expect(problems({ [variable]: host }).join(), variable).toContain("loopback");
    }
    expect(read({ TIDEGATE_HOST: host }).host, "in production").toBe(host);
  });
});

describe("production", () => {
  it("needs an origin list, and says what may stand in it", () => {
    const [found, ...others] = problems({ TIDEGATE_JWT_SECRET: SECRET });
    expect(found).toMatch(/^TIDEGATE_ALLOWED_ORIGINS is required in production: .*same-origin.*none.*\*/);
    expect(others).toEqual([]);
  });

  it("needs none for a command that opens no port", () => {
    expect(readConfig({ environment: { TIDEGATE_JWT_SECRET: SECRET }, serving: false }).development).toBe(
      false,
    );
  });

  it.each(["none", "same-origin", "*"])("takes the origins %s", (origins) => {
    expect(read({ TIDEGATE_ALLOWED_ORIGINS: origins }).allowed_origins).toBe(origins);
  });
});

describe("a configuration with problems", () => {
  it("names all of them at once, each with its variable", () => {
    const found = problems(
      {
        TIDEGATE_JWT_SECRET: "short",
        TIDEGATE_PORT: "http",
        TIDEGATE_HEARTBEAT: "2s",
        TIDEGATE_MAX_FRAME_BYTES: "1TB",
        TIDEGATE_REDIS_URL: "http://localhost",
        TIDEGATE_LOG_LEVEL: "loud",
        TIDEGATE_GRANTS: "{",
        TIDEGATE_NODE_ID: "node 1",
        TIDEGATE_REDIS_PREFIX: "a.b",
        TIDEGATE_REDIS_CA_FILE: join(folder, "missing.pem"),
        TIDEGATE_PONG_TIMEOUT: "1500ms",
      },
      { file: file("problems.json", { colour: "red" }) },
    );
    const variables = found.map((one) => /TIDEGATE_[A-Z_]+|"colour"/.exec(one)?.[0]);
    expect(new Set(variables)).toEqual(
      new Set([
        '"colour"',
        "TIDEGATE_JWT_SECRET",
        "TIDEGATE_PORT",
        "TIDEGATE_HEARTBEAT",
        "TIDEGATE_MAX_FRAME_BYTES",
        "TIDEGATE_REDIS_URL",
        "TIDEGATE_LOG_LEVEL",
        "TIDEGATE_GRANTS",
        "TIDEGATE_NODE_ID",
        "TIDEGATE_REDIS_PREFIX",
        "TIDEGATE_REDIS_CA_FILE",
        "TIDEGATE_PONG_TIMEOUT",
        "TIDEGATE_ALLOWED_ORIGINS",
      ]),
    );
    expect(found).toHaveLength(13);
  });

  it("says how many there are, one a line", () => {
    expect(() =>
      readConfig({ environment: { ...production, TIDEGATE_PORT: "x", TIDEGATE_HEARTBEAT: "x" } }),
    ).toThrow(/^the configuration has 2 problems:\n {2}- TIDEGATE_PORT: .*\n {2}- TIDEGATE_HEARTBEAT: .*$/);
    expect(() => read({ TIDEGATE_PORT: "x" })).toThrow(/^the configuration has a problem:\n/);
  });

  it("names the pong timeout that is not less than the heartbeat", () => {
    expect(problems({ ...production, TIDEGATE_HEARTBEAT: "10s", TIDEGATE_PONG_TIMEOUT: "10s" })).toEqual([
      "TIDEGATE_PONG_TIMEOUT: less than TIDEGATE_HEARTBEAT",
    ]);
  });

  it("says which of several secrets is too short", () => {
    expect(problem("TIDEGATE_JWT_SECRET", `${"a".repeat(32)} short`)).toMatch(
      /^TIDEGATE_JWT_SECRET: secret 2: .*32 bytes/,
    );
  });

  it("refuses a token in a cookie where every page may connect", () => {
    const environment = { ...production, TIDEGATE_TOKEN_COOKIE: "session" };
    expect(problems({ ...environment, TIDEGATE_ALLOWED_ORIGINS: "*" })).toEqual([
      "TIDEGATE_TOKEN_COOKIE: not with TIDEGATE_ALLOWED_ORIGINS=*, list the origins",
    ]);
    expect(problems({ ...environment, TIDEGATE_ALLOWED_ORIGINS: "https://a.example" })).toEqual([]);
  });

  it.each([" ", ",", " , "])("refuses %j for a secret: no key at all verifies nothing", (value) => {
    expect(problem("TIDEGATE_JWT_SECRET", value)).toContain("TIDEGATE_JWT_SECRET");
  });
});

describe("unknown variables", () => {
  it("are warned about by name, without their value", () => {
    const { warnings } = read({
      TIDEGATE_JWT_SECERT: "a-secret-with-a-typing-error",
      TIDEGATE_ADMN_PORT: "9090",
      OTHER: "1",
    });
    expect(warnings.map((warning) => warning.split(" ")[0])).toEqual([
      "TIDEGATE_JWT_SECERT",
      "TIDEGATE_ADMN_PORT",
    ]);
    expect(warnings.join()).not.toContain("a-secret-with");
  });

  it("are not warned about when Kubernetes sets them for its services", () => {
    const { warnings } = read({
      TIDEGATE_SERVICE_HOST: "10.0.0.1",
      TIDEGATE_SERVICE_PORT: "8080",
      TIDEGATE_SERVICE_PORT_HTTP: "8080",
      TIDEGATE_PORT_8080_TCP: "tcp://10.0.0.1:8080",
      TIDEGATE_PORT_8080_TCP_PROTO: "tcp",
      TIDEGATE_PORT_8080_TCP_PORT: "8080",
      TIDEGATE_PORT_8080_TCP_ADDR: "10.0.0.1",
      TIDEGATE_REDIS_SERVICE_HOST: "10.0.0.2",
      TIDEGATE_REDIS_PORT: "tcp://10.0.0.2:6379",
      TIDEGATE_REDIS_PORT_6379_TCP: "tcp://10.0.0.2:6379",
      TIDEGATE_CONFIG: "",
    });
    expect(warnings).toEqual([]);
  });

  it.each(["TIDEGATE_PORT", "TIDEGATE_ADMIN_PORT"])(
    "do not hide that %s was set by Kubernetes",
    (variable) => {
      expect(problem(variable, "tcp://10.0.0.1:8080")).toContain(
        "set by Kubernetes service links: enableServiceLinks: false",
      );
    },
  );
});
