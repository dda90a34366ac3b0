import { CODES, type Code, statusOf } from "../protocol/codes.ts";
import { Problem } from "../schema/http.ts";
import { Components } from "./components.ts";
import {
  ANY_REQUEST,
  GROUPS,
  JSON_TYPE,
  type Operation,
  type OperationAnswer,
  type Parameter,
} from "./operations/operation.ts";
import { OPERATIONS } from "./operations/operations.ts";

type Json = Record<string, unknown>;

const DESCRIPTION = `What backends and clients call over HTTP. What is said over a WebSocket is in the AsyncAPI document, \`/asyncapi.json\`; both are shown at \`/docs\`.

Errors are RFC 9457 \`application/problem+json\`: decide by \`code\`. A temporary one comes with \`Retry-After\`, in seconds. Beside the codes of each operation there are \`not_found\` (404), \`method_not_allowed\` (405, with \`Allow\`) and \`internal\` (500). Balancers in front answer 400, 404, 405, 411, 413, 429 or 503 by themselves, and a node 431, without a problem: go by the status then.

Each answer but a 101 has an \`X-Request-Id\`: the request's own, if that is 1–128 of \`A–Z a–z 0–9 _ . : -\`, or a new one. The node's log has it too. Any \`GET\` but \`/ws\` may be a \`HEAD\`.

A body has a \`Content-Length\` (behind HAProxy 411 otherwise), and at most TIDEGATE_MAX_FRAME_BYTES bytes; a batch has 1 MiB at most. New codes may come: treat one that you do not know by its status.`;

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
    security: ANY_TOKEN,
    paths,
    components: {
      securitySchemes: SECURITY,
      headers: HEADERS,
      responses: { Problem: anyProblem(problem) },
      examples: examples(),
      schemas: sorted(components.schemas),
    },
  };
}

/** The one or the other. */
const ANY_TOKEN = [{ bearer: [] }, { token: [] }];
const SECURITY = {
  bearer: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
    description:
      "A JWT. For a WebSocket also the subprotocol `bearer.<token>`, which browsers can do, or the frame `auth`. Also taken from the cookie that TIDEGATE_TOKEN_COOKIE names; then `Origin`, or `Sec-Fetch-Site: same-origin`, is mandatory.",
  },
  token: {
    type: "apiKey",
    in: "query",
    name: "token",
    description: "The same in the URL: last resort, since URLs end up in logs.",
  },
};

const text = (description: string) => ({ description, schema: { type: "string" } });
const HEADERS = {
  "X-Request-Id": text("The request's own, or a new one: the node's log has it too."),
  "Retry-After": {
    description: "Seconds after which to try again. With every problem that is temporary, and no other.",
    schema: { type: "integer", minimum: 0, "x-unit": "seconds" },
  },
  "WWW-Authenticate": text("`Bearer`, with the kind of error if a token was given. With 401."),
  Allow: text("The methods that the path takes. With 405."),
  Upgrade: text("`websocket`. With 426."),
};

function describe(operation: Operation, components: Components, problem: Json): Json {
  const { id, group, summary, description, parameters, body, answers, errors, token } = operation;
  return {
    operationId: id,
    tags: [group],
    summary,
    description,
    ...(token !== "required" && { security: token === "optional" ? [{}, ...ANY_TOKEN] : [] }),
    ...(parameters.length > 0 && { parameters: parameters.map((one) => parameter(one, components)) }),
    ...(body && {
      requestBody: { required: true, content: { [JSON_TYPE]: { schema: components.refer(body) } } },
    }),
    responses: {
      ...Object.fromEntries(answers.map((answer) => [answer.status, success(answer, components)])),
      ...problems(errors, problem),
      default: { $ref: "#/components/responses/Problem" },
    },
  };
}

function parameter({ name, in: place, schema, required }: Parameter, components: Components): Json {
  return {
    name,
    in: place,
    required: required ?? false,
    description: (schema as { description?: string }).description,
    schema: components.referPlainly(schema),
  };
}

function success(answer: OperationAnswer, components: Components): Json {
  const { content = {}, within } = answer;
  const description = within
    ? `${answer.description} Within: ${within.map((code) => `\`${code}\``).join(", ")}.`
    : answer.description;
  const bodies = Object.entries(content).map(([type, schema]) => [
    type,
    { schema: components.refer(schema) },
  ]);
  return {
    description,
    ...(answer.status !== 101 && headersOf(["X-Request-Id"])),
    ...(bodies.length > 0 && { content: Object.fromEntries(bodies) }),
  };
}

/** What no operation lists: what any request may be answered with, and what comes with a later version. */
function anyProblem(problem: Json): Json {
  return {
    description: ANY_REQUEST.map((code) => `\`${code}\`: ${CODES[code].title}.`).join(" "),
    ...headersOf(["X-Request-Id", "Retry-After", "Allow"]),
    content: problemContent(ANY_REQUEST, problem),
  };
}

function problemContent(codes: readonly Code[], problem: Json): Json {
  const examples = Object.fromEntries(codes.map((code) => [code, { $ref: `#/components/examples/${code}` }]));
  return { "application/problem+json": { schema: problem, examples } };
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
          ...headersOf(problemHeaders(status, codes)),
          content: problemContent(codes, problem),
        },
      ]),
  );
}

/** Of each code that a request is answered with: most answer many operations. */
function examples(): Json {
  const codes = new Set([...ANY_REQUEST, ...OPERATIONS.flatMap(({ errors }) => errors)]);
  return sorted(Object.fromEntries([...codes].map((code) => [code, { value: exampleOf(code) }])));
}

function exampleOf(code: Code): Json {
  const { title, temporary } = CODES[code];
  return { type: `urn:tidegate:problem:${code}`, title, status: statusOf(code), code, temporary };
}

function problemHeaders(status: number, codes: readonly Code[]): (keyof typeof HEADERS)[] {
  return [
    "X-Request-Id",
    ...(codes.some((code) => CODES[code].temporary) ? (["Retry-After"] as const) : []),
    ...(status === 401 ? (["WWW-Authenticate"] as const) : []),
    ...(status === 426 ? (["Upgrade"] as const) : []),
  ];
}

function headersOf(names: readonly (keyof typeof HEADERS)[]): Json {
  return {
    headers: Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }])),
  };
}

/** By name, so that the document does not change when the table is put in another order. */
export function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
