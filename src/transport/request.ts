import { randomUUID } from "node:crypto";
import { type BlockList, isIP } from "node:net";
import type { HttpRequest, HttpResponse } from "./uws.ts";

/**
 * What is kept of a request. It is copied at once: the request object of uWebSockets.js is stack memory, gone at the
 * first `await`.
 */
export interface RequestHead {
  /** The caller's own, or one that is made for it: in the answer, and in every line of the log about it. */
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly host: string;
  readonly origin: string | undefined;
  /** `Sec-Fetch-Site`, which no page can set: `same-origin`, … */
  readonly fetchSite: string | undefined;
  readonly authorization: string | undefined;
  readonly cookie: string | undefined;
  /** Of a WebSocket handshake: the offer in `Sec-WebSocket-Protocol`. */
  readonly protocols: readonly string[];
  readonly contentType: string | undefined;
  readonly idempotencyKey: string | undefined;
  readonly traceparent: string | undefined;
  readonly accept: string | undefined;
  readonly acceptEncoding: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly lastEventId: string | undefined;
  /** The client's address, as far as trusted proxies tell it. For logs. */
  readonly address: string;
  /** The scheme and host under which the client reached us. */
  readonly ownOrigin: string;
}

/** Who asked, for a log line: bounded, and without the query, where a token may ride. */
export function asker({ id, path, address, origin }: RequestHead): Record<string, string | undefined> {
  return { request: id, path: path.slice(0, 200), address, origin: origin?.slice(0, 200) };
}

export function readHead(res: HttpResponse, req: HttpRequest, trusted: BlockList): RequestHead {
  const header = (name: string) => req.getHeader(name) || undefined;
  const peer = Buffer.from(res.getRemoteAddressAsText()).toString();
  const behindProxy = isTrusted(trusted, peer);
  const host = req.getHeader("host");
  const scheme = (behindProxy && header("x-forwarded-proto")) || "http";
  return {
    id: idOf(req.getHeader("x-request-id")),
    method: req.getMethod().toUpperCase(),
    path: req.getUrl(),
    query: new URLSearchParams(req.getQuery() ?? ""),
    host,
    origin: header("origin"),
    fetchSite: header("sec-fetch-site"),
    authorization: header("authorization"),
    cookie: header("cookie"),
    protocols: list(req.getHeader("sec-websocket-protocol")),
    contentType: header("content-type"),
    idempotencyKey: header("idempotency-key"),
    traceparent: header("traceparent"),
    accept: header("accept"),
    acceptEncoding: header("accept-encoding"),
    ifNoneMatch: header("if-none-match"),
    lastEventId: header("last-event-id"),
    address: behindProxy ? clientAddress(trusted, peer, headerLines(req, "x-forwarded-for")) : peer,
    ownOrigin: `${scheme}://${host}`,
  };
}

/** A number in a query, as a frame would have it; what is none comes back as it is, for whoever checks it. */
export function numberIn(query: URLSearchParams, name: string): number | string | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  return /^\d{1,9}$/.test(text) ? Number(text) : text;
}

/** What is longer, or could be taken for something else in a log, is not passed on. */
function idOf(given: string): string {
  return /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

/** A header that may come in several lines: `getHeader` knows the first alone, which can be the client's own. */
function headerLines(req: HttpRequest, name: string): string {
  const lines: string[] = [];
  req.forEach((key, value) => {
    if (key === name) lines.push(value);
  });
  return lines.join(",");
}

function list(header: string): string[] {
  return header === "" ? [] : header.split(",").map((item) => item.trim());
}

/** Counted from the right: what a client wrote itself stands left of the first address that is not ours. */
function clientAddress(trusted: BlockList, peer: string, forwardedFor: string): string {
  let address = peer;
  for (const hop of list(forwardedFor).reverse()) {
    if (isIP(hop) === 0) break;
    address = hop;
    if (!isTrusted(trusted, hop)) break;
  }
  return address;
}

function isTrusted(trusted: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && trusted.check(address, family === 6 ? "ipv6" : "ipv4");
}
