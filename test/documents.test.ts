import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { optionTable } from "../src/cli/print-config.ts";
import { environmentName, OPTIONS, type Option, type OptionName } from "../src/config/options.ts";
import { Counts, createMetrics, METRICS } from "../src/metrics.ts";
import { CODES, type CodeRow } from "../src/protocol/codes.ts";

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

/** Of what a scrape returns, so that nothing can be missing: the table of metrics, the histogram, the build. */
function metricTable(): string {
  const registry = createMetrics({
    counts: new Counts(),
    connections: () => 0,
    capacity: 0,
    hub: { channels: 0, subscriptions: 0 },
    backplane: { downSince: undefined, connects: 0, probeMs: 0 },
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
