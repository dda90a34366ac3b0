import type { BlockList } from "node:net";
import type { Logger } from "pino";
import type { OriginRule } from "../../auth/origin.ts";
import { RequestError } from "../../protocol/codes.ts";
import type { Refusals } from "../../session/refusals.ts";
import { checkOrigin } from "../admission.ts";
import { asker, type RequestHead, readHead } from "../request.ts";
import type { HttpRequest, HttpResponse, TemplatedApp } from "../uws.ts";
import { type Answer, type Opening, problemOf, start, write } from "./answer.ts";
import { preflight, withCors } from "./cors.ts";

/** One request as a handler sees it. */
export interface Request {
  readonly head: RequestHead;
  /** The parts of the path that the pattern names, decoded. */
  readonly params: readonly string[];
  /** The caller has gone: nothing that is done for it is of use. */
  readonly aborted: AbortSignal;
  /** The whole body. @throws {RequestError} too_big */
  body(): Promise<Buffer>;
}

export interface Route {
  /** As uWebSockets.js calls it. */
  readonly method: "get" | "post" | "del";
  readonly path: string;
  /** Bytes of a body, where it may be longer than elsewhere. */
  readonly maxBodyBytes?: number;
  handle(request: Request): Answer | Promise<Answer | Opening>;
}

export interface HttpOptions {
  readonly origins: OriginRule;
  readonly trustedProxies: BlockList;
  readonly maxBodyBytes: number;
  readonly hints: boolean;
  readonly log: Logger;
  readonly refusals: Refusals;
  /** Counted while it is being answered, so that a node that stops can wait for it. */
  readonly requests: { open: number };
}

/**
 * The thin layer between uWebSockets.js and handlers that speak in values: copies the request before it is gone,
 * bounds the body, writes each answer in one cork and never after an abort, turns what is thrown into problem+json.
 */
export function serveHttp(app: TemplatedApp, routes: readonly Route[], options: HttpOptions): void {
  for (const path of new Set(routes.map((route) => route.path))) {
    const here = routes.filter((route) => route.path === path);
    const params = path.match(/:\w+/g)?.length ?? 0;
    for (const { method, handle, maxBodyBytes = options.maxBodyBytes } of here) {
      const bodyBytes = method === "post" ? maxBodyBytes : undefined;
      const answer = (res: HttpResponse, req: HttpRequest) =>
        answerRequest(res, req, params, handle, options, bodyBytes);
      app[method](path, answer);
      if (method === "get") app.head(path, answer); // RFC 9110, 9.3.2
    }
    const methods = [...here.map(({ method }) => METHODS[method]), "OPTIONS"].join(", ");
    app.options(path, (res, req) => answerRequest(res, req, 0, () => preflight(methods), options));
    app.any(path, (res, req) => answerRequest(res, req, 0, () => methodNotAllowed(methods), options));
  }
  // `GET /ws` is the handshake's; a page that asks it why it was refused, with its token, sends a preflight first.
  app.options("/ws", (res, req) => answerRequest(res, req, 0, () => preflight("GET, OPTIONS"), options));
  app.any("/ws", (res, req) => answerRequest(res, req, 0, () => methodNotAllowed("GET, OPTIONS"), options));
  app.any("/*", (res, req) => answerRequest(res, req, 0, notFound, options));
}

const METHODS = { get: "GET, HEAD", post: "POST", del: "DELETE" };

function methodNotAllowed(allow: string): Answer {
  const answer = problemOf(new RequestError("method_not_allowed"), false);
  return { ...answer, headers: { ...answer.headers, allow } };
}

function notFound(): Answer {
  throw new RequestError("not_found");
}

function answerRequest(
  res: HttpResponse,
  req: HttpRequest,
  paramCount: number,
  handle: Route["handle"],
  options: HttpOptions,
  maxBodyBytes?: number,
): void {
  const { log, refusals, requests } = options;
  const head = readHead(res, req, options.trustedProxies);
  const rawParams = Array.from({ length: paramCount }, (_, i) => req.getParameter(i) ?? "");
  const aborted = new AbortController();
  res.onAborted(() => aborted.abort());
  const body = maxBodyBytes === undefined ? undefined : readBody(res, maxBodyBytes, aborted.signal);
  const answer = async (): Promise<Answer | Opening> => {
    try {
      checkOrigin(head, options.origins);
      const params = rawParams.map(decodeParam);
      const { signal } = aborted;
      return await handle({
        head,
        params,
        aborted: signal,
        body: async () => (body ? await body : Buffer.alloc(0)),
      });
    } catch (error) {
      if (!(error instanceof RequestError)) log.error({ ...asker(head), err: error }, "a request failed");
      else refusals.log(error, asker(head));
      return problemOf(error, options.hints);
    }
  };
  const begin = (opening: Opening): void => {
    if (!aborted.signal.aborted) start(res, opening);
  };
  requests.open++;
  answer()
    .then((answered) => {
      if ("open" in answered) return begin(withCors(answered, head, options.origins));
      if (!aborted.signal.aborted)
        write(res, withCors(answered, head, options.origins), head.method === "HEAD");
    })
    .catch((error: unknown) => log.error({ err: error, path: head.path }, "an answer could not be written"))
    .finally(() => requests.open--);
}

function decodeParam(raw: string): string {
  try {
    return decodeURIComponent(raw);
  } catch {
    return ""; // no name: whoever reads it refuses it
  }
}

function readBody(res: HttpResponse, limit: number, aborted: AbortSignal): Promise<Buffer> {
  const body = new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    aborted.addEventListener("abort", () => reject(new RequestError("bad_frame", "the request was cut off")));
    res.onData((chunk, isLast) => {
      size += chunk.byteLength;
      if (size > limit) return reject(new RequestError("too_big", `the limit is ${limit} bytes`));
      chunks.push(Buffer.from(chunk.slice(0))); // its memory is gone after this callback
      if (isLast) resolve(Buffer.concat(chunks));
    });
  });
  body.catch(() => {}); // a handler that refuses before it reads leaves nobody to hear of it
  return body;
}
