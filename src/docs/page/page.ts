import { createHash } from "node:crypto";
import { asyncApi } from "../asyncapi/asyncapi.ts";
import { openApi } from "../openapi.ts";
import { codeSections } from "./codes.ts";
import { type AsyncApiDocument, frameSections, streamSections } from "./frames.ts";
import { escaped } from "./html.ts";
import { operationSections } from "./http.ts";
import type { OpenApiDocument } from "./http-document.ts";
import { navigation } from "./navigation.ts";
import { STYLE } from "./style.ts";
import { tokenSection } from "./tokens.ts";
import { typeSection } from "./types.ts";

/**
 * Both documents and every code as one page: no script, nothing loaded from anywhere.
 * @param version of the gateway
 */
export function page(version: string): string {
  const http = openApi(version) as unknown as OpenApiDocument;
  const frames = asyncApi(version) as unknown as AsyncApiDocument;
  const shown = [
    tokenSection(http),
    operationSections(http),
    frameSections(frames),
    streamSections(frames),
    codeSections(),
  ];
  const sections = [...shown, typeSection(http, frames, shown)];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tidegate ${escaped(version)}: API</title>
<style>${STYLE}</style>
</head>
<body>
<a class="skip" href="#top">Skip the contents</a>
${navigation(sections)}
<main>
<h1 id="top">Tidegate <span class="quiet">${escaped(version)}</span></h1>
<p>What a node takes and gives, over HTTP, by WebSocket and event stream. For machines: <a href="openapi.json">openapi.json</a> (HTTP), <a href="asyncapi.json">asyncapi.json</a> (frames and streams).</p>
${sections.map(({ id, title, html }) => `<section><h2 id="${id}">${escaped(title)}</h2>${html}</section>`).join("\n")}
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
