import type { CodeRow } from "../../protocol/codes.ts";
import { CODES } from "../../protocol/codes.ts";
import { codeLink, type Direction, fieldTable, nameOf, type Schema, typeOf } from "./fields.ts";
import { escaped, inline, pre, table } from "./html.ts";
import type { Section } from "./section.ts";

/** What of the OpenAPI document the page shows. */
export interface OpenApiDocument {
  readonly info: { readonly description: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required: boolean;
    readonly description: string;
    readonly schema: Schema;
  }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

type Content = Readonly<
  Record<string, { readonly schema: Schema; readonly examples?: Readonly<Record<string, unknown>> }>
>;

/** Where an operation stands on the page. */
export function operationAnchor(operationId: string): string {
  return `http-${operationId}`;
}

interface Placed {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

export function operationSections(document: OpenApiDocument): Section {
  const placed = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  );
  const groups = document.tags.map(({ name, description }) => ({
    name,
    description,
    operations: placed.filter(({ operation }) => operation.tags.includes(name)),
  }));
  return {
    title: "HTTP",
    entries: groups.flatMap(({ operations }) =>
      operations.map(({ operation: { operationId, summary } }) => ({
        id: operationAnchor(operationId),
        label: inline(summary),
      })),
    ),
    html: groups
      .map(
        ({ name, description, operations }) =>
          `<h3>${escaped(title(name))}</h3><p>${inline(description)}</p>${operations
            .map((one) => operationHtml(one, document))
            .join("\n")}`,
      )
      .join("\n"),
  };
}

function title(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function operationHtml({ method, path, operation }: Placed, document: OpenApiDocument): string {
  const { operationId, summary, description, parameters = [], requestBody, responses } = operation;
  const rows = parameters.map((one) => [
    `<code class="name">${escaped(one.name)}</code> <span class="quiet">${one.in}${one.required ? "" : ", optional"}</span>`,
    typeOf(one.schema),
    inline(one.description),
  ]);
  const body = requestBody ? `<h4>Body</h4>${contentHtml(requestBody.content, document, "sent")}` : "";
  return `<article class="card" id="${operationAnchor(operationId)}">
<h3><span class="method ${method}">${method.toUpperCase()}</span><code class="path">${escaped(path)}</code></h3>
<p><strong>${inline(summary)}.</strong> ${inline(description)}</p>
${rows.length > 0 ? `<h4>Parameters</h4>${table(["parameter", "type", "what it is"], rows)}` : ""}
${body}
${Object.entries(responses)
  .filter(([status]) => Number(status) < 400)
  .map(([status, answer]) => successHtml(status, answer, document))
  .join("\n")}
<h4>Problems</h4>${problemTable(responses)}
</article>`;
}

function successHtml(
  status: string,
  { description, content = {} }: Operation["responses"][string],
  document: OpenApiDocument,
): string {
  return `<h4>Answer ${escaped(status)}</h4><p>${inline(description)}</p>${contentHtml(content, document, "received")}`;
}

function contentHtml(content: Content, { components }: OpenApiDocument, direction: Direction): string {
  return Object.entries(content)
    .map(([type, { schema }]) => {
      const named = components.schemas[nameOf(schema) ?? ""];
      const example = named?.examples?.[0];
      const whole = named ?? schema;
      return `<p><code>${escaped(type)}</code> ${typeOf(schema)}</p>${fieldTable(whole, components.schemas, direction)}${example === undefined ? "" : pre(example)}`;
    })
    .join("");
}

function problemTable(responses: Operation["responses"]): string {
  const rows = Object.entries(responses)
    .filter(([status]) => Number(status) >= 400)
    .flatMap(([status, { content }]) =>
      Object.keys(content?.["application/problem+json"]?.examples ?? {}).map((code) => [
        `${codeLink(code)} <span class="quiet">${escaped(status)}</span>`,
        inline((CODES as Record<string, CodeRow>)[code]?.title ?? ""),
      ]),
    );
  return table(["code", "what happened"], rows);
}
