import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { MAX_BATCH_BYTES } from "../src/api/batch.ts";
import { MAX_GRANTS, MAX_NAME_LENGTH } from "../src/auth/identity.ts";
import { MAX_TOKEN_BYTES } from "../src/auth/token.ts";
import { MAX_REVOCATIONS } from "../src/backplane/backplane.ts";
import { optionTable } from "../src/cli/print-config.ts";
import { environmentName, OPTIONS, type Option, type OptionName } from "../src/config/options.ts";
import { Counts, createMetrics, METRICS } from "../src/metrics.ts";
import { CODES, type Code, type CodeRow } from "../src/protocol/codes.ts";
import { MAX_CHANNELS_PER_FRAME, MAX_LIMIT } from "../src/protocol/commands.ts";
import { MAX_PAGE_BYTES } from "../src/protocol/page.ts";
import { MAX_UNDER_WAY } from "../src/session/channel-order.ts";
import { MAX_HEADER_BYTES } from "../src/transport/uws.ts";

/*
 * The documents hold tables that the code writes. After a change of the code:
 *
 *   UPDATE_DOCUMENTS=1 npx vitest run test/documents.test.ts
 */
const update = process.env.UPDATE_DOCUMENTS === "1";

const root = new URL("..", import.meta.url);

function read(name: string): string {
  return readFileSync(new URL(name, root), "utf8");
}

/** What stands between `<!-- marker -->` and `<!-- /marker -->`; in update mode, what should stand there is put there. */
function section(document: string, marker: string, expected: string): string {
  const text = read(document);
  const [open, close] = [`<!-- ${marker} -->`, `<!-- /${marker} -->`];
  const [before, rest, ...more] = text.split(open);
  const [found, after] = rest?.split(close) ?? [];
  if (before === undefined || found === undefined || after === undefined || more.length > 0) {
    throw new Error(`${document} needs one ${open} followed by ${close}`);
  }
  if (!update) return found.trim();
  writeFileSync(new URL(document, root), `${before}${open}\n${expected}\n${close}${after}`);
  return expected;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---|").join("")}`, ...rows.map(line)].join("\n");
}

function codeTable(): string {
  const rows = Object.entries(CODES).map(([code, row]: [string, CodeRow]) => [
    `\`${code}\``,
    String(row.status ?? "–"),
    String(row.close ?? "–"),
    row.temporary ? "yes" : "no",
    row.title,
    row.cure,
  ]);
  return table(["code", "HTTP", "close", "temporary", "meaning", "what to do"], rows);
}

function limitTable(): string {
  const rows = (Object.entries(OPTIONS) as [OptionName, Option<unknown>][]).flatMap(([name, option]) =>
    option.code === undefined
      ? []
      : [[`\`${environmentName(name)}\``, option.default ?? "–", option.about, outcome(option.code)]],
  );
  return table(["variable", "default", "what it bounds", "past it"], rows);
}

function outcome(code: Code): string {
  const { status, close }: CodeRow = CODES[code];
  const ways = [status && `HTTP ${status}`, close && `close ${close}`].filter((way) => way !== undefined);
  return [`\`${code}\``, ...ways].join(", ");
}

const FIXED: [what: string, limit: string | number, code: Code | string][] = [
  ["bytes of a token", MAX_TOKEN_BYTES, "token_invalid"],
  ["channel patterns in a token", MAX_GRANTS, "token_invalid"],
  ["characters of `sub`, of `jti`", MAX_NAME_LENGTH, "token_invalid"],
  ["bytes of a request's head", MAX_HEADER_BYTES, "HTTP 431, or the connection is dropped"],
  ["characters of a channel name", 200, "bad_channel"],
  ["characters of an event's type", 64, "bad_event"],
  ["characters of a `ref`", 64, "bad_frame"],
  ["channels in one `subscribe`", MAX_CHANNELS_PER_FRAME, "bad_frame"],
  ["commands of a session under way at the backplane", MAX_UNDER_WAY, "command_rate"],
  ["bytes of a WebSocket frame, in limits of `TIDEGATE_MAX_FRAME_BYTES`", 2, "dropped: close 1006"],
  ["channels of an event stream", 100, "bad_frame"],
  ["events in a batch", 100, "bad_frame"],
  ["bytes of a batch", MAX_BATCH_BYTES, "too_big"],
  ["events, members or channels in one answer", MAX_LIMIT, "bad_limit"],
  [
    "bytes of events or members in one answer, about",
    MAX_PAGE_BYTES,
    "less than asked for, with `more` or `next`",
  ],
  ["revocations kept in a fleet", MAX_REVOCATIONS, "too_many_revocations"],
];

function fixedTable(): string {
  const rows = FIXED.map(([what, limit, code]) => [
    what,
    String(limit),
    code in CODES ? outcome(code as Code) : code,
  ]);
  return table(["what", "limit", "past it"], rows);
}

const HAPROXY: Record<string, string> = {
  HAPROXY_MAXCONN:
    "connections of all clients, ten of which are kept for the metrics; further ones are closed at once",
  HAPROXY_MAXCONN_PER_ADDRESS: "connections of one address at a time: HTTP 429",
  HAPROXY_CONN_RATE_PER_ADDRESS: "new connections of one address in 10 s: HTTP 429",
  HAPROXY_ERRORS_PER_ADDRESS:
    "answers 401 and 403 to one address in 10 s, as when tokens are tried out: HTTP 429",
  HAPROXY_MAX_BODY: "bytes of a request's body: HTTP 413",
  HAPROXY_HARD_STOP_AFTER: "life of the connections of an HAProxy that was replaced by a reload",
  HAPROXY_VANISHED_AFTER:
    "time in which a client acknowledges and takes what was sent, or its connection ends",
};

/** Of the file itself, so that a default cannot differ. */
function haproxyTable(): string {
  const file = read("haproxy.cfg");
  const rows = Object.entries(HAPROXY).map(([name, what]) => {
    const value = new RegExp(`presetenv ${name} +(\\S+)`).exec(file)?.[1];
    if (value === undefined) throw new Error(`haproxy.cfg sets no ${name}`);
    return [`\`${name}\``, value, what];
  });
  return table(["variable", "default", "what it bounds, and what is past it"], rows);
}

/** Of what a scrape returns, so that nothing can be missing: the table of metrics, the histogram, the build. */
function metricTable(): string {
  const registry = createMetrics({
    counts: new Counts(),
    connections: () => ({ websocket: 0, sse: 0 }),
    capacity: 0,
    hub: { channels: 0, subscriptions: 0, recentBytes: 0 },
    backplane: { downSince: undefined, connects: 0, probeMs: 0 },
    queuedBytes: () => 0,
    revocations: { size: 0 },
    draining: () => false,
    ready: () => true,
    build: { version: "", node: "", uws: "" },
  });
  const metrics = registry.getMetricsAsArray() as unknown as Metric[];
  const ours = metrics.filter(({ name }) => name.startsWith("tidegate_"));
  return table(
    ["metric", "type", "labels", "what it is"],
    ours.map(({ name, type, labelNames, help }) => [
      `\`${name}\``,
      type ?? kindOf(name),
      labelNames.map((label) => `\`${label}\``).join(" ") || "–",
      help,
    ]),
  );
}

/** Of prom-client, whose typings leave out what it has. */
interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type?: string;
  readonly labelNames: readonly string[];
}

function kindOf(name: string): string {
  return METRICS.find((row) => row.name === name)?.type ?? (name.endsWith("_info") ? "gauge" : "histogram");
}

describe("README.md", () => {
  it("holds the table of options that `tidegate config --table` prints", () => {
    expect(section("README.md", "options", optionTable())).toBe(optionTable());
  });

  it("holds the table of metrics", () => {
    expect(section("README.md", "metrics", metricTable())).toBe(metricTable());
  });

  it("speaks of npm scripts that exist", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const spoken = [...read("README.md").matchAll(/npm (?:run )?([a-z]+)/g)].map((match) => match[1] ?? "");
    expect(spoken.length).toBeGreaterThan(0);
    const builtIn = ["ci", "install"];
    expect(spoken.filter((name) => !(name in scripts) && !builtIn.includes(name))).toEqual([]);
  });
});

describe("docs/limits.md", () => {
  it.each([
    ["limits", limitTable],
    ["fixed", fixedTable],
    ["haproxy", haproxyTable],
  ])("holds the table of %s", (marker, write) => {
    expect(section("docs/limits.md", marker, write())).toBe(write());
  });
});

describe("PROTOCOL.md", () => {
  it("holds the table of codes", () => {
    expect(section("PROTOCOL.md", "codes", codeTable())).toBe(codeTable());
  });

  it("shows frames that are JSON", () => {
    const blocks = [...read("PROTOCOL.md").matchAll(/```json\n([\s\S]*?)```/g)].map(
      (match) => match[1] ?? "",
    );
    expect(blocks.length).toBeGreaterThan(0);
    for (const block of blocks) expect(() => JSON.parse(block), block).not.toThrow();
  });
});

describe("every document", () => {
  const documents = [
    ...readdirSync(fileURLToPath(root)).filter((name) => name.endsWith(".md")),
    ...readdirSync(fileURLToPath(new URL("docs", root))).map((name) => `docs/${name}`),
    "conformance/README.md",
    "haproxy.cfg",
    "src/protocol/codes.ts",
  ];
  const names = Object.keys(OPTIONS) as OptionName[];
  const known = new Set([
    "TIDEGATE_CONFIG",
    ...names.map(environmentName),
    ...names
      .filter((name) => (OPTIONS[name] as Option<unknown>).file)
      .map((name) => `${environmentName(name)}_FILE`),
  ]);

  it.each(documents)("%s names only variables that exist", (document) => {
    const named = read(document).match(/TIDEGATE_[A-Z_]*[A-Z]/g) ?? [];
    expect([...new Set(named)].filter((name) => !known.has(name))).toEqual([]);
  });
});
