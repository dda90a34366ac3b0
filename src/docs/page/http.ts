import { answersHtml, contentHtml, headerAnchor } from "./answers.ts";
import { tableOf, typeOf } from "./fields.ts";
import { card, escaped, inline, paragraphs, table } from "./html.ts";
import type { OpenApiDocument, Operation } from "./http-document.ts";
import type { Section } from "./section.ts";
import { tokenOf } from "./tokens.ts";

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
    id: "http",
    title: "HTTP",
    entries: groups.flatMap(({ operations }) =>
      operations.map(({ operation: { operationId, summary } }) => ({
        id: operationAnchor(operationId),
        label: inline(summary),
      })),
    ),
    html: [
      paragraphs(document.info.description),
      `<h3>Headers of answers</h3>${headerTable(document)}`,
      ...groups.map(
        ({ name, description, operations }) =>
          `<h3>${escaped(title(name))}</h3><p>${inline(description)}</p>${operations
            .map((one) => operationHtml(one, document))
            .join("\n")}`,
      ),
    ].join("\n"),
  };
}

function title(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function headerTable({ components }: OpenApiDocument): string {
  const rows = Object.entries(components.headers).map(([name, { description, schema }]) => [
    `<code class="name" id="${escaped(headerAnchor(name))}">${escaped(name)}</code>`,
    typeOf(schema),
    inline(description),
  ]);
  return table(["header", "type", "what it is"], rows);
}

function operationHtml({ method, path, operation }: Placed, document: OpenApiDocument): string {
  const { operationId, summary, description, parameters = [], requestBody, responses } = operation;
  const fields = parameters.map(({ name, in: place, required, description, schema }) => ({
    name,
    note: required ? place : `${place}, optional`,
    schema: { ...schema, description },
  }));
  const { schemas } = document.components;
  const html = [
    `<p><strong>${inline(summary)}.</strong> ${inline(description)}</p>`,
    `<p>Token: ${tokenOf(operation, document)}.</p>`,
    fields.length > 0 ? `<h5>Parameters</h5>${tableOf("parameter", fields, schemas, "sent")}` : "",
    requestBody ? `<h5>Body</h5>${contentHtml(requestBody.content, document, "sent")}` : "",
    answersHtml(responses, document),
  ];
  const heading = `<span class="method ${method}">${method.toUpperCase()}</span> <code class="path">${escaped(path)}</code>`;
  return card(4, operationAnchor(operationId), heading, html.join("\n"));
}
