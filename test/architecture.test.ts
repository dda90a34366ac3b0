import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import {
  cycles,
  environmentUses,
  type Import,
  importsOf,
  type SourceFile,
  sourceFiles,
} from "./tools/imports.ts";

/** What a room may import: `type x` allows types only, `room/file.ts` one file, `node:*` any module of Node. */
interface Rule {
  readonly rooms: readonly string[];
  readonly packages: readonly string[];
}

/*
 * Who may import whom; what is not listed is forbidden. In one line: edges point at the core, the core points at the
 * protocol, only gateway/ (and the commands, which start it) sees both sides.
 */
const RULES: Readonly<Record<string, Rule>> = {
  protocol: { rooms: [], packages: [] },
  auth: { rooms: ["protocol"], packages: ["node:*", "jsonwebtoken", "jwks-rsa", "type pino"] },
  hub: { rooms: ["protocol"], packages: [] },
  // What is said over the wire, as JSON Schema, and what clients send checked by it.
  schema: { rooms: ["protocol", "config", "auth/grants.ts"], packages: ["typebox", "ajv"] },
  session: { rooms: ["protocol", "schema", "auth", "hub"], packages: ["type pino"] },
  // The form of an event (hub/encoded-event.ts) is what a backplane carries; of the hub itself it knows types only.
  backplane: {
    rooms: ["protocol", "type hub", "hub/encoded-event.ts"],
    packages: ["node:*", "ioredis", "type pino"],
  },
  transport: {
    rooms: ["protocol", "schema", "auth", "session", "type hub"],
    packages: ["node:*", "type pino"],
  },
  docs: { rooms: ["protocol", "auth/grants.ts", "schema"], packages: ["node:*", "typebox"] },
  api: {
    rooms: ["protocol", "auth", "session", "transport", "schema", "docs"],
    packages: ["node:*", "type typebox"],
  },
  config: {
    rooms: ["protocol", "auth", "backplane/redis/redis-url.ts", "backplane/history.ts"],
    packages: ["node:*"],
  },
  cli: {
    rooms: [
      "protocol",
      "auth",
      "hub",
      "session",
      "backplane",
      "transport",
      "config",
      "verify",
      "gateway",
      "metrics.ts",
    ],
    packages: ["node:*", "ioredis", "jsonwebtoken", "pino", "ws"],
  },
  // A client of the gateway: of its source it knows the wire contract alone.
  verify: { rooms: ["protocol"], packages: ["node:*", "ws", "ioredis", "prom-client"] },
  "metrics.ts": { rooms: [], packages: ["prom-client"] },
  gateway: {
    rooms: ["protocol", "auth", "hub", "session", "backplane", "transport", "api", "config", "metrics.ts"],
    packages: ["node:*", "type pino"],
  },
  "main.ts": { rooms: ["config", "cli"], packages: ["node:*", "commander"] },
  // The one file that loads the native addon.
  "transport/uws.ts": { rooms: [], packages: ["node:*", "uWebSockets.js"] },
};

const MAX_LINES = 400;

const src = fileURLToPath(new URL("../src", import.meta.url));
const files = sourceFiles(src);
const imports = files.flatMap(importsOf);

/** The first part of a path below src/, or the file itself where the table names it. */
function roomOf(path: string): string {
  return path in RULES ? path : (path.split("/")[0] ?? path);
}

/** What is wrong with an import, in a sentence; undefined when it is allowed. */
function violation({ from, to, relative, typeOnly }: Import): string | undefined {
  const room = roomOf(from);
  const rule = RULES[room];
  if (!rule) return `src/${from} is in no room of the table in test/architecture.test.ts: add a rule for it.`;
  const allowed = relative ? rule.rooms : rule.packages;
  const names = relative ? [to.split("/")[0] ?? to, to] : [to, to.startsWith("node:") ? "node:*" : to];
  if (relative && to.split("/")[0] === from.split("/")[0] && from.includes("/")) return undefined;
  if (names.some((name) => allowed.includes(name) || (typeOnly && allowed.includes(`type ${name}`))))
    return undefined;
  const what = `src/${from} imports ${relative ? `src/${to}` : to}${typeOnly ? " (types)" : ""}`;
  return `${what}, but ${room} may import ${allowed.join(", ") || "nothing"}${relative ? " of src/" : " from outside"}.`;
}

function violations(list: readonly Import[]): string[] {
  return list.flatMap((one) => violation(one) ?? []);
}

describe("src/", () => {
  it("is read with its imports", () => {
    expect(files.length).toBeGreaterThan(30);
    expect(imports.length).toBeGreaterThan(100);
    expect(imports).toContainEqual({
      from: "hub/encoded-event.ts",
      to: "protocol/binary.ts",
      relative: true,
      typeOnly: false,
    });
    expect(imports).toContainEqual({
      from: "transport/websocket/websocket.ts",
      to: "pino",
      relative: false,
      typeOnly: true,
    });
    expect(imports).toContainEqual({
      from: "main.ts",
      to: "cli/serve.ts",
      relative: true,
      typeOnly: false,
    });
  });

  it("imports only what the table allows", () => {
    expect(violations(imports)).toEqual([]);
  });

  it("has each room and file that the table names", () => {
    for (const room of Object.keys(RULES))
      expect(existsSync(join(src, room)), `src/${room} exists`).toBe(true);
  });

  it("imports files that exist, by their names with .ts", () => {
    const paths = new Set(files.map(({ path }) => path));
    const missing = imports.filter(
      ({ relative, to }) => relative && to !== "../package.json" && !paths.has(to),
    );
    expect(missing.map(({ from, to }) => `src/${from} imports src/${to}, which does not exist.`)).toEqual([]);
  });

  it("loads uWebSockets.js in transport/uws.ts alone", () => {
    const loaders = imports.filter(({ to }) => to === "uWebSockets.js").map(({ from }) => from);
    expect([...new Set(loaders)]).toEqual(["transport/uws.ts"]);
  });

  it("has no imports in a circle", () => {
    expect(cycles(imports)).toEqual([]);
  });

  it("reads the environment in main.ts alone; transport/uws.ts sets one variable for the addon", () => {
    const uses = files.flatMap((file) =>
      environmentUses(file).map((statement) => ({ path: file.path, statement })),
    );
    expect(uses.some(({ path }) => path === "main.ts")).toBe(true);
    expect(uses.filter(({ path }) => path !== "main.ts")).toEqual([
      { path: "transport/uws.ts", statement: "process.env.UWS_HTTP_MAX_HEADERS_SIZE ??= MAX_HEADER_BYTES;" },
    ]);
    expect(imports.filter(({ to }) => to === "node:process")).toEqual([]);
  });

  it(`has no file over ${MAX_LINES} lines`, () => {
    const long = files.filter(({ text }) => text.split("\n").length - 1 > MAX_LINES);
    expect(long.map(({ path }) => `src/${path} has over ${MAX_LINES} lines: it is two things.`)).toEqual([]);
  });
});

describe("the rule", () => {
  const read = (path: string, text: string) => violations(importsOf({ path, text }));

  it.each([
    ["hub/x.ts", 'import { Session } from "../session/session.ts";'],
    ["hub/x.ts", 'import type { Session } from "../session/session.ts";'],
    ["hub/x.ts", 'export { Session } from "../session/session.ts";'],
    ["hub/x.ts", 'type S = import("../session/session.ts").Session;'],
    ["hub/x.ts", 'await import("../session/session.ts");'],
    ["protocol/x.ts", 'import { readFileSync } from "node:fs";'],
    ["protocol/x.ts", 'import "../hub/hub.ts";'],
    ["transport/x.ts", 'import { Hub } from "../hub/hub.ts";'],
    ["transport/x.ts", 'import type { App } from "uWebSockets.js";'],
    ["session/x.ts", 'import { pino } from "pino";'],
    ["session/x.ts", 'import { type Logger, pino } from "pino";'],
    ["backplane/x.ts", 'import { Hub } from "../hub/hub.ts";'],
    ["config/x.ts", 'import { Redis } from "../backplane/redis/redis.ts";'],
    ["auth/x.ts", 'import lodash from "lodash";'],
    ["gateway/x.ts", 'import { serve } from "../cli/serve.ts";'],
    ["main.ts", 'import { createGateway } from "./gateway/gateway.ts";'],
    ["jobs/x.ts", 'import "./y.ts";'],
  ])("is broken by %s: %s", (path, text) => {
    expect(read(path, text)).toHaveLength(1);
    expect(read(path, text)[0]).toMatch(/^src\/\S+ .*\.$/);
  });

  it.each([
    ["hub/x.ts", 'import { isChannel } from "../protocol/channel.ts";'],
    ["hub/x.ts", 'import { Hub } from "./hub.ts";'],
    ["hub/x.ts", 'const s = \'import "../session/session.ts"\'; // import "../session/session.ts";'],
    ["transport/x.ts", 'import type { EncodedEvent } from "../hub/encoded-event.ts";'],
    ["session/x.ts", 'import { type Logger } from "pino";'],
    ["backplane/x.ts", 'import { encode } from "../hub/encoded-event.ts";'],
  ])("is kept by %s: %s", (path, text) => {
    expect(read(path, text)).toEqual([]);
  });

  it("sees circles, of types too", () => {
    const circle: SourceFile[] = [
      { path: "hub/a.ts", text: 'import { b } from "./b.ts";' },
      { path: "hub/b.ts", text: 'import type { C } from "./c.ts";' },
      { path: "hub/c.ts", text: 'import { a } from "./a.ts";' },
      { path: "hub/d.ts", text: 'import { a } from "./a.ts";' },
    ];
    expect(cycles(circle.flatMap(importsOf))).toEqual(["hub/a.ts → hub/b.ts → hub/c.ts → hub/a.ts"]);
  });

  it("sees the environment however it is reached, and not where it is only spoken of", () => {
    expect(environmentUses({ path: "x.ts", text: 'const a = process.env.A;\nf(process["env"]);' })).toEqual([
      "const a = process.env.A;",
      'f(process["env"]);',
    ]);
    expect(environmentUses({ path: "x.ts", text: "// process.env\nconst s = 'process.env';" })).toEqual([]);
  });
});
