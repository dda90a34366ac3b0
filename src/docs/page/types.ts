import { type Direction, nameOf, type Schema, type Schemas, typeAnchor, typeBody } from "./fields.ts";
import type { AsyncApiDocument } from "./frames.ts";
import { card, escaped, inline } from "./html.ts";
import type { OpenApiDocument } from "./http-document.ts";
import type { Section } from "./section.ts";

/**
 * What both documents call by name, as far as the page leads there: messages are shown where they are sent.
 * @param shown the sections that lead to it
 */
export function typeSection(
  http: OpenApiDocument,
  frames: AsyncApiDocument,
  shown: readonly Section[],
): Section {
  const schemas = { ...frames.components.schemas, ...http.components.schemas };
  const sent = sentTypes(http, frames, schemas);
  const cards = new Map<string, string>();
  const follow = (html: string): void => {
    for (const [, name = ""] of html.matchAll(/href="#type-(\w+)"/g)) {
      const schema = schemas[name];
      if (!schema || cards.has(name)) continue;
      const html = typeHtml(name, schema, schemas, sent.has(name) ? "sent" : "received");
      cards.set(name, html);
      follow(html);
    }
  };
  for (const { html } of shown) follow(html);
  const sorted = [...cards].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    id: "types",
    title: "Types",
    entries: sorted.map(([name]) => ({ id: typeAnchor(name), label: escaped(name) })),
    html: sorted.map(([, html]) => html).join("\n"),
  };
}

function typeHtml(name: string, schema: Schema, schemas: Schemas, direction: Direction): string {
  const about = `<p>${inline(schema.description ?? "")}</p>`;
  return card(3, typeAnchor(name), escaped(name), about + typeBody(schema, schemas, direction));
}

/** What clients send, be it within something else: they may be told that it is wrong. */
function sentTypes(http: OpenApiDocument, frames: AsyncApiDocument, schemas: Schemas): ReadonlySet<string> {
  const operations = Object.values(http.paths).flatMap((methods) => Object.values(methods));
  const commands = Object.values(frames.operations)
    .filter(({ action }) => action === "receive")
    .flatMap(({ messages }) => messages.map((one) => frames.components.messages[nameOf(one) ?? ""]));
  const sent = new Set<string>();
  const follow = (what: unknown): void => {
    for (const [, name = ""] of JSON.stringify(what).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (sent.has(name)) continue;
      sent.add(name);
      follow(schemas[name]);
    }
  };
  follow([operations.map(({ parameters, requestBody }) => ({ parameters, requestBody })), commands]);
  return sent;
}
