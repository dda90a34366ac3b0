import { CODES, type CodeRow } from "../../protocol/codes.ts";
import { codeLink, type Direction, fieldTable, nameOf, typeOf } from "./fields.ts";
import { escaped, inline, link, pre, row, table } from "./html.ts";
import type { Content, OpenApiDocument, Response, Responses } from "./http-document.ts";

/* The second half of an operation: what it answers with. */

/** Where a header of answers stands on the page. */
export function headerAnchor(name: string): string {
  return `header-${name}`;
}

export function answersHtml(responses: Responses, document: OpenApiDocument): string {
  const answers = Object.entries(responses).filter(([status]) => Number.isInteger(Number(status)));
  const problems = answers.filter(([status]) => Number(status) >= 400);
  const successes = answers.filter(([status]) => Number(status) < 400);
  return [
    ...successes.map(([status, answer]) => successHtml(status, answer, document)),
    `<h5>Problems</h5>${problemTable(problems)}`,
    headersHtml(answers),
  ].join("\n");
}

type Answers = readonly (readonly [status: string, answer: Response])[];

function successHtml(
  status: string,
  { description, content = {} }: Response,
  document: OpenApiDocument,
): string {
  return `<h5>Answer ${escaped(status)}</h5><p>${inline(description)}</p>${contentHtml(content, document, "received", description)}`;
}

/** @param said of it already, and not said again */
export function contentHtml(
  content: Content,
  { components }: OpenApiDocument,
  direction: Direction,
  said = "",
): string {
  return Object.entries(content)
    .map(([type, { schema }]) => {
      const whole = components.schemas[nameOf(schema) ?? ""] ?? schema;
      const { description = "", examples: [example] = [] } = whole;
      const about = description === said ? "" : `. ${inline(description)}`;
      const fields = fieldTable(whole, components.schemas, direction);
      return `<p><code>${escaped(type)}</code> ${typeOf(schema)}${about}</p>${fields}${example === undefined ? "" : pre(example)}`;
    })
    .join("");
}

function problemTable(problems: Answers): string {
  const rows = problems.flatMap(([status, { content }]) =>
    Object.keys(content?.["application/problem+json"]?.examples ?? {}).map((code) => [
      `${codeLink(code)} <span class="quiet">${escaped(status)}</span>`,
      inline((CODES as Record<string, CodeRow>)[code]?.title ?? ""),
    ]),
  );
  return table(["code", "what happened"], rows);
}

/** By name, with the statuses that come with each, unless all do. */
function headersHtml(answers: Answers): string {
  const names = [...new Set(answers.flatMap(([, { headers = {} }]) => Object.keys(headers)))];
  const items = names.map((name) => {
    const withIt = answers.filter(([, { headers = {} }]) => name in headers).map(([status]) => status);
    const when =
      withIt.length === answers.length ? "" : ` <span class="quiet">${escaped(withIt.join(", "))}</span>`;
    return `${link(headerAnchor(name), `<code>${escaped(name)}</code>`)}${when}`;
  });
  return items.length === 0 ? "" : `<h5>Headers of answers</h5>${row(items)}`;
}
