import { CODES, type Code, type CodeRow } from "../protocol/codes.ts";
import { Problem } from "../schema/http.ts";
import { Components } from "./components.ts";
import { GROUPS, OPERATIONS, type Operation, type OperationAnswer, type Parameter } from "./operations.ts";

type Json = Record<string, unknown>;

const DESCRIPTION = `What backends and clients call over HTTP. What is said over a WebSocket is in the AsyncAPI document, \`/asyncapi.json\`; both are shown at \`/docs\`.

Errors are RFC 9457 \`application/problem+json\`: decide by \`code\`. A temporary one comes with \`Retry-After\`, in seconds. Beside the codes of each operation there are \`not_found\` (404), \`method_not_allowed\` (405, with \`Allow\`) and \`internal\` (500).

Each answer has an \`X-Request-Id\`: the request's own, if that is 1–128 of \`A–Z a–z 0–9 _ . : -\`, or a new one. The node's log has it too. Any \`GET\` may be a \`HEAD\`.

A body has a \`Content-Length\`, and at most TIDEGATE_MAX_FRAME_BYTES bytes.`;

/** The OpenAPI 3.1 document. @param version of the gateway */
export function openApi(version: string): Json {
  const components = new Components();
  const problem = components.refer(Problem);
  const paths: Record<string, Json> = {};
  for (const operation of OPERATIONS) {
    const path = paths[operation.path] ?? {};
    paths[operation.path] = { ...path, [operation.method]: describe(operation, components, problem) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Tidegate",
      version,
      description: DESCRIPTION,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/", description: "Where this document came from." }],
    tags: Object.entries(GROUPS).map(([name, description]) => ({ name, description })),
    security: [{ bearer: [] }, { token: [] }],
    paths,
    components: { securitySchemes: SECURITY, schemas: sorted(components.schemas) },
  };
}

const SECURITY = {
  bearer: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
    description:
      "A JWT. Also taken from the cookie that TIDEGATE_TOKEN_COOKIE names; then `Origin` is mandatory.",
  },
  token: {
    type: "apiKey",
    in: "query",
    name: "token",
    description: "The same in the URL: last resort, since URLs end up in logs.",
  },
};

function describe(operation: Operation, components: Components, problem: Json): Json {
  const { id, group, summary, description, parameters, body, answers, errors, token } = operation;
  return {
    operationId: id,
    tags: [group],
    summary,
    description,
    ...(token ? {} : { security: id === "connect" ? [{}, { bearer: [] }, { token: [] }] : [] }),
    ...(parameters.length > 0 && { parameters: parameters.map((one) => parameter(one, components)) }),
    ...(body && {
      requestBody: { required: true, content: { "application/json": { schema: components.refer(body) } } },
    }),
    responses: {
      ...Object.fromEntries(answers.map((answer) => [answer.status, success(answer, components)])),
      ...problems(errors, problem),
    },
  };
}

function parameter({ name, in: place, schema, required, repeated }: Parameter, components: Components): Json {
  const of = components.referPlainly(schema);
  return {
    name,
    in: place,
    required: required ?? false,
    description: (schema as { description?: string }).description,
    schema: repeated ? { type: "array", items: of, ...(required && { minItems: 1, maxItems: 100 }) } : of,
  };
}

function success({ description, content = {} }: OperationAnswer, components: Components): Json {
  const bodies = Object.entries(content).map(([type, schema]) => [
    type,
    { schema: components.refer(schema) },
  ]);
  return { description, ...(bodies.length > 0 && { content: Object.fromEntries(bodies) }) };
}

/** By status, with an example for each code. */
function problems(errors: readonly Code[], problem: Json): Json {
  const byStatus = new Map<number, Code[]>();
  for (const code of errors) byStatus.set(statusOf(code), [...(byStatus.get(statusOf(code)) ?? []), code]);
  return Object.fromEntries(
    [...byStatus]
      .sort(([a], [b]) => a - b)
      .map(([status, codes]) => [
        status,
        {
          description: codes.map((code) => `\`${code}\`: ${CODES[code].title}.`).join(" "),
          ...headersOf(status, codes),
          content: {
            "application/problem+json": {
              schema: problem,
              examples: Object.fromEntries(codes.map((code) => [code, { value: exampleOf(code) }])),
            },
          },
        },
      ]),
  );
}

/** The status of a problem. */
export function statusOf(code: Code): number {
  return (CODES[code] as CodeRow).status ?? 400;
}

function exampleOf(code: Code): Json {
  const { title, temporary } = CODES[code];
  return { type: `urn:tidegate:problem:${code}`, title, status: statusOf(code), code, temporary };
}

function headersOf(status: number, codes: readonly Code[]): Json {
  const text = (description: string) => ({ description, schema: { type: "string" } });
  const headers = {
    ...(codes.some((code) => CODES[code].temporary) && {
      "Retry-After": {
        description: "Seconds after which to try again.",
        schema: { type: "integer", minimum: 0, "x-unit": "seconds" },
      },
    }),
    ...(status === 401 && {
      "WWW-Authenticate": text("`Bearer`, with the kind of error if a token was given."),
    }),
    ...(status === 426 && { Upgrade: text("`websocket`.") }),
  };
  return Object.keys(headers).length === 0 ? {} : { headers };
}

/** By name, so that the document does not change when the table is put in another order. */
export function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
