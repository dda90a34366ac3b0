import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { asyncApi } from "../src/docs/asyncapi/asyncapi.ts";
import { openApi } from "../src/docs/openapi.ts";
import { root } from "./local/process.ts";

/* Writes the documents that a node serves to .tidegate/, and lints them. */

const folder = join(root, ".tidegate");
const documents = { "openapi.json": openApi("0.0.0"), "asyncapi.json": asyncApi("0.0.0") };
mkdirSync(folder, { recursive: true });
for (const [name, document] of Object.entries(documents))
  writeFileSync(join(folder, name), `${JSON.stringify(document, undefined, 2)}\n`);

const files = Object.keys(documents).map((name) => join(folder, name));
const { status } = spawnSync("redocly", ["lint", "--config", join(root, "redocly.yaml"), ...files], {
  stdio: "inherit",
  env: { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" },
});
process.exitCode = status ?? 1;
