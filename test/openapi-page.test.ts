import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { type CodeEntry, codeEntries } from "../src/docs/codes.ts";
import { elsewhere } from "../src/docs/page/codes.ts";
import { CONTENT_SECURITY_POLICY, page } from "../src/docs/page/page.ts";
import { CODES } from "../src/protocol/codes.ts";
import { sharedStage } from "./support/servers.ts";

const stage = sharedStage();
let served: Response;
let html: string;

beforeAll(async () => {
  const node = await stage.node();
  served = await fetch(`${node.url}/docs`);
  html = await served.text();
});

describe("/docs", () => {
  const ids = () => [...html.matchAll(/ id="([^"]*)"/g)].map((match) => match[1] ?? "");

  it("is a page for everybody, that may use its own style and nothing else", () => {
    expect([served.status, served.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    const policy = served.headers.get("content-security-policy") ?? "";
    expect(policy).toBe(CONTENT_SECURITY_POLICY);
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; /);
    const styles = [...html.matchAll(/<style>([\s\S]*?)<\/style>/g)].map((match) => match[1] ?? "");
    const hashes = styles.map((style) => createHash("sha256").update(style).digest("base64"));
    expect(hashes).toHaveLength(1);
    expect(policy).toContain(`'sha256-${hashes[0]}'`);
    expect(served.headers.get("x-content-type-options")).toBe("nosniff");
  });

  it("loads nothing, sends nothing and runs nothing", () => {
    expect(html).not.toMatch(
      /<(script|link|img|iframe|form|object|embed|base)\b| style=| on\w+=|@import|url\(/i,
    );
    const links = [...html.matchAll(/ (?:href|src|action)="([^"]*)"/g)].map((match) => match[1] ?? "");
    expect(links.length).toBeGreaterThan(200);
    const outside = links.filter((link) => !link.startsWith("#"));
    // Relative, so that they lead there behind a prefix too.
    expect([...new Set(outside)].sort()).toEqual(["asyncapi.json", "openapi.json"]);
  });

  it("has an anchor for every code, and one for every link within it, each once", () => {
    const anchors = ids();
    expect(anchors.filter((id, i) => anchors.indexOf(id) !== i)).toEqual([]);
    expect(Object.keys(CODES).filter((code) => !anchors.includes(code))).toEqual([]);
    const targets = [...html.matchAll(/href="#([^"]*)"/g)].map((match) => match[1] ?? "");
    expect([...new Set(targets)].filter((target) => !anchors.includes(target))).toEqual([]);
  });

  it("closes every element that it opens, and holds no stray sign", () => {
    const open: string[] = [];
    for (const [, slash, name = ""] of html.matchAll(/<(\/?)([a-z][a-z0-9]*)[^>]*>/g)) {
      if (name === "meta") continue;
      if (slash === "") open.push(name);
      else expect(open.pop()).toBe(name);
    }
    expect(open).toEqual([]);
    expect(html).not.toMatch(/undefined|\[object|NaN|&(?!amp;|lt;|gt;|quot;)/);
  });

  it("says nothing in markup that comes from a version", () => {
    expect(page('<b>"&')).toContain("&lt;b&gt;&quot;&amp;");
  });
});

describe("the entries of codes", () => {
  it("name a cause and a cure each, and where each is met", () => {
    const unmet = codeEntries().filter(
      ({ operations, commands }) => operations.length + commands.length === 0,
    );
    const connection = ["auth_timeout", "no_pong"];
    const anywhere = ["unknown_type", "not_found", "method_not_allowed"];
    expect(unmet.map(({ code }) => code).sort()).toEqual([...connection, ...anywhere].sort());
  });

  it("name every variable that a cure speaks of", () => {
    const limit = codeEntries().find(({ code }) => code === "too_complex");
    expect(limit?.keys).toEqual(["TIDEGATE_MAX_JSON_DEPTH", "TIDEGATE_MAX_JSON_KEYS"]);
  });
});

/*
 * After a change of the codes: UPDATE_DOCUMENTS=1 npx vitest run test/openapi-page.test.ts
 */
describe("docs/codes.md", () => {
  const file = new URL("../docs/codes.md", import.meta.url);
  const [open, close] = ["<!-- codes -->", "<!-- /codes -->"];

  function written(): string {
    return codeEntries().map(entry).join("\n\n");
  }

  function entry(one: CodeEntry): string {
    const { code, cause, cure, keys, status, close: number, temporary, operations, commands } = one;
    const list = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(", ");
    const met = [
      ...(operations.length > 0 ? [`operations ${list(operations)}`] : []),
      ...(commands.length > 0 ? [`commands ${list(commands)}`] : []),
      ...elsewhere(one),
    ];
    return [
      `## ${code}`,
      "",
      `- **Cause:** ${cause}.`,
      `- **Cure:** ${cure}`,
      `- **Configuration:** ${list(keys) || "none"}`,
      `- **HTTP:** ${status ?? "–"}. **Close code:** ${number ?? "–"}. **Temporary:** ${temporary ? "yes" : "no"}.`,
      `- **Met at:** ${met.join("; ")}`,
    ].join("\n");
  }

  it("has an entry for every code, under a heading that is its anchor", () => {
    const text = readFileSync(file, "utf8");
    const [before = "", rest = ""] = text.split(open);
    const [found = "", after = ""] = rest.split(close);
    if (process.env.UPDATE_DOCUMENTS === "1")
      return writeFileSync(file, `${before}${open}\n\n${written()}\n\n${close}${after}`);
    expect(found.trim()).toBe(written());
    expect([...found.matchAll(/^## (.+)$/gm)].map((match) => match[1])).toEqual(Object.keys(CODES));
  });
});
