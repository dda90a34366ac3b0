import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readConfig } from "../src/config/config.ts";
import { OPTIONS, type Option } from "../src/config/options.ts";
import { configurationSchema } from "../src/schema/configuration.ts";
import { fits } from "../src/schema/shape.ts";

/* After a change of the options: UPDATE_DOCUMENTS=1 npx vitest run test/schema-configuration.test.ts && npm run format */

const folder = mkdtempSync(join(tmpdir(), "tidegate-"));
afterAll(() => rmSync(folder, { recursive: true }));

const schema = configurationSchema();
const isConfiguration = fits(schema);
const options = Object.entries(OPTIONS) as [string, Option<unknown>][];

/** Whether a node would start with this file. */
function starts(content: object): boolean {
  const file = join(folder, "config.json");
  writeFileSync(file, JSON.stringify(content));
  try {
    readConfig({ environment: {}, file });
    return true;
  } catch {
    return false;
  }
}

describe("the schema of the configuration file", () => {
  it("is docs/configuration.schema.json", () => {
    const file = new URL("../docs/configuration.schema.json", import.meta.url);
    const dialect = { $schema: "https://json-schema.org/draft/2020-12/schema" };
    const text = `${JSON.stringify({ ...dialect, ...(schema as object) }, undefined, 2)}\n`;
    if (process.env.UPDATE_DOCUMENTS === "1") writeFileSync(file, text);
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(JSON.parse(text));
  });

  it("takes every default, as the node does", () => {
    const defaults = options.flatMap(([name, option]) =>
      option.default === undefined ? [] : [[name, option.default] as const],
    );
    expect(defaults.length).toBeGreaterThan(20);
    const file = Object.fromEntries(defaults);
    expect([isConfiguration(file), starts(file)]).toEqual([true, true]);
  });

  it.each([
    [
      "numbers, lists and objects as JSON",
      { port: 8081, max_json_depth: 16, presence: ["room-*", "lobby"], history: { "*": "off" } },
    ],
    ["sizes as numbers or text", { max_frame_bytes: 65_536, recent_bytes: "1 MiB" }],
    ["the rules of grants as text", { grants: "{}" }],
  ])("takes %s, as the node does", (_what, file) => {
    expect([isConfiguration(file), starts(file)]).toEqual([true, true]);
  });

  it.each(options.map(([name]) => name))("refuses null for %s, as the node does", (name) => {
    expect([isConfiguration({ [name]: null }), starts({ [name]: null })]).toEqual([false, false]);
  });

  it.each([
    ["a name that is none", { prot: 8080 }],
    ["a duration without a unit", { heartbeat: "30" }],
    ["a size in unknown units", { recent_bytes: "1MB" }],
    ["a role that is none", { role: "core" }],
    ["a port that is no number", { port: "http" }],
    ["a key set by ftp", { jwks_url: "ftp://keys.example" }],
  ])("refuses %s, as the node does", (_what, file) => {
    expect([isConfiguration(file), starts(file)]).toEqual([false, false]);
  });
});
