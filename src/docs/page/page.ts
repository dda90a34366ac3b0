import { createHash } from "node:crypto";
import { asyncApi } from "../asyncapi.ts";
import { openApi } from "../openapi.ts";
import { codeSections } from "./codes.ts";
import { type Schema, type Schemas, typeAnchor, typeBody } from "./fields.ts";
import { type AsyncApiDocument, frameSections, streamSections } from "./frames.ts";
import { escaped, inline, link, paragraphs } from "./html.ts";
import { type OpenApiDocument, operationSections } from "./http.ts";
import type { Section } from "./section.ts";
import { STYLE } from "./style.ts";

/**
 * Both documents and every code as one page: no script, nothing loaded from anywhere.
 * @param version of the gateway
 */
export function page(version: string): string {
  const http = openApi(version) as unknown as OpenApiDocument;
  const frames = asyncApi(version) as unknown as AsyncApiDocument;
  const shown = [operationSections(http), frameSections(frames), streamSections(frames), codeSections()];
  const types = typeSection({ ...frames.components.schemas, ...http.components.schemas }, shown);
  const sections = [...shown, types];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tidegate ${escaped(version)}: API</title>
<style>${STYLE}</style>
</head>
<body>
<nav>${navigation(sections)}</nav>
<main>
<h1 id="top">Tidegate <span class="quiet">${escaped(version)}</span></h1>
<p>For machines: <a href="/openapi.json">openapi.json</a> (HTTP), <a href="/asyncapi.json">asyncapi.json</a> (frames and streams).</p>
${paragraphs(http.info.description)}
${sections.map(({ title, html }) => `<section><h2>${escaped(title)}</h2>${html}</section>`).join("\n")}
</main>
</body>
</html>
`;
}

/** The page's own style, and nothing else, may be used. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

function navigation(sections: readonly Section[]): string {
  return sections
    .map(({ title, entries }) => {
      const items = entries.map(({ id, label }) => `<li>${link(id, label)}</li>`).join("");
      return `<details><summary>${escaped(title)}</summary><ul>${items}</ul></details>`;
    })
    .join("");
}

/** What both documents call by name, as far as the page leads there: messages are shown where they are sent. */
function typeSection(schemas: Schemas, shown: readonly Section[]): Section {
  const cards = new Map<string, string>();
  const follow = (html: string): void => {
    for (const [, name = ""] of html.matchAll(/href="#type-(\w+)"/g)) {
      const schema = schemas[name];
      if (!schema || cards.has(name)) continue;
      const card = typeHtml(name, schema, schemas);
      cards.set(name, card);
      follow(card);
    }
  };
  for (const { html } of shown) follow(html);
  const sorted = [...cards].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    title: "Types",
    entries: sorted.map(([name]) => ({ id: typeAnchor(name), label: escaped(name) })),
    html: sorted.map(([, card]) => card).join("\n"),
  };
}

function typeHtml(name: string, schema: Schema, schemas: Schemas): string {
  const about = inline(schema.description ?? "");
  return `<article class="card" id="${typeAnchor(name)}"><h3>${escaped(name)}</h3><p>${about}</p>${typeBody(schema, schemas)}</article>`;
}
