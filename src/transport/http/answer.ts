import { CODES, type Code, RequestError, statusOf } from "../../protocol/codes.ts";
import type { HttpResponse } from "../uws.ts";

/** An HTTP response that is ready to be written. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** A response whose body goes on, until the request is aborted. */
export interface Opening {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The head is written. Not called when the client has gone. */
  open(response: HttpResponse): void;
}

export function json(status: number, value: unknown): Answer {
  return jsonText(status, JSON.stringify(value));
}

export function jsonText(status: number, text: string): Answer {
  return {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
    body: `${text}\n`,
  };
}

export const NO_CONTENT: Answer = { status: 204, headers: { "cache-control": "no-store" }, body: "" };

const EXTRA: Partial<Record<Code, Record<string, string>>> = {
  token_missing: { "www-authenticate": "Bearer" },
  token_invalid: { "www-authenticate": 'Bearer error="invalid_token"' },
  token_expired: { "www-authenticate": 'Bearer error="invalid_token", error_description="expired"' },
  token_revoked: { "www-authenticate": 'Bearer error="invalid_token", error_description="revoked"' },
  upgrade_required: { upgrade: "websocket", connection: "Upgrade", "sec-websocket-version": "13" },
};

export interface Problem {
  readonly status: number;
  readonly [member: string]: unknown;
}

/** RFC 9457. `detail` says which rule; never what the caller sent as a secret. */
export function problemBody(error: RequestError, hints: boolean): Problem {
  const row = CODES[error.code];
  return {
    type: `urn:tidegate:problem:${error.code}`,
    title: row.title,
    status: statusOf(error.code),
    code: error.code,
    ...(error.message === row.title ? {} : { detail: error.message }),
    ...(error.channel === undefined ? {} : { channel: error.channel }),
    ...(hints && error.help !== undefined ? { hint: error.help } : {}),
    temporary: row.temporary,
  };
}

function problem(error: RequestError, hints: boolean): Answer {
  const body = problemBody(error, hints);
  const retry: Record<string, string> = CODES[error.code].temporary ? { "retry-after": "1" } : {};
  return {
    status: body.status,
    headers: {
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      ...retry,
      ...EXTRA[error.code],
    },
    body: `${JSON.stringify(body)}\n`,
  };
}

/** The answer to what a handler threw; a bug is `internal`, and the caller's to log. */
export function problemOf(error: unknown, hints: boolean): Answer {
  return problem(error instanceof RequestError ? error : new RequestError("internal"), hints);
}

const STATUS_TEXT: Record<number, string> = {
  200: "OK",
  201: "Created",
  204: "No Content",
  207: "Multi-Status",
  304: "Not Modified",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  410: "Gone",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  426: "Upgrade Required",
  429: "Too Many Requests",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
};

/** In one cork, so that it leaves in one write. The response must not have been aborted. */
export function write(res: HttpResponse, { status, headers, body }: Answer, bodyless = false): void {
  res.cork(() => {
    writeHead(res, status, headers);
    // RFC 9110 8.6: no Content-Length in a 204, and in a 304 none but that of the body that it spares.
    if (status === 204 || status === 304) res.endWithoutBody();
    else if (bodyless) res.endWithoutBody(Buffer.byteLength(body));
    else res.end(body);
  });
}

function writeHead(res: HttpResponse, status: number, headers: Answer["headers"]): void {
  res.writeStatus(`${status} ${STATUS_TEXT[status] ?? ""}`);
  for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value);
}

/** Likewise not aborted. */
export function start(res: HttpResponse, { status, headers, open }: Opening): void {
  res.cork(() => writeHead(res, status, headers));
  open(res);
}
