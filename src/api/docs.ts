import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { asyncApi } from "../docs/asyncapi/asyncapi.ts";
import { openApi } from "../docs/openapi.ts";
import { CONTENT_SECURITY_POLICY, page } from "../docs/page/page.ts";
import type { Answer } from "../transport/http/answer.ts";
import type { Request, Route } from "../transport/http/http.ts";

const HEADERS = {
  // Asked for again each time, since a new version of the gateway is new at once; the validator makes that cheap.
  "cache-control": "no-cache",
  "x-content-type-options": "nosniff",
  "x-robots-tag": "noindex",
  vary: "Accept-Encoding",
};

/**
 * What describes the API. Public: it holds nothing that the project's pages do not.
 * @param version of the gateway
 */
export function docsRoutes(version: string): Route[] {
  return [
    route("/openapi.json", "application/json", () => `${JSON.stringify(openApi(version))}\n`),
    route("/asyncapi.json", "application/json", () => `${JSON.stringify(asyncApi(version))}\n`),
    route("/docs", "text/html; charset=utf-8", () => page(version), {
      "content-security-policy": CONTENT_SECURITY_POLICY,
      "referrer-policy": "no-referrer",
    }),
  ];
}

/** @param write called for the first who asks, since most nodes are never asked */
function route(path: string, type: string, write: () => string, more: Record<string, string> = {}): Route {
  let plain: Answer | undefined;
  let packed: Answer | undefined;
  const headers = { "content-type": type, ...HEADERS, ...more };
  const handle = ({ head }: Request) => {
    plain ??= validated(write(), headers);
    packed ??= validated(gzipSync(plain.body), { ...headers, "content-encoding": "gzip" });
    const answer = takesGzip(head.acceptEncoding) ? packed : plain;
    const { etag = "" } = answer.headers;
    return isHeld(head.ifNoneMatch, etag) ? notModified(etag) : answer;
  };
  return { method: "get", path, handle };
}

/** With a validator of its very bytes: the same document, packed, has another (RFC 9110, 8.8.3). */
function validated(body: string | Uint8Array, headers: Answer["headers"]): Answer {
  const etag = `"${createHash("sha256").update(body).digest("base64url")}"`;
  return { status: 200, headers: { ...headers, etag }, body };
}

/** Without the headers that say what the body is: who holds it has them. */
function notModified(etag: string): Answer {
  return { status: 304, headers: { ...HEADERS, etag }, body: "" };
}

/** RFC 9110, 12.5.3: named, and not with a weight of 0. */
function takesGzip(accepted = ""): boolean {
  return /(?:^|,)\s*gzip\s*(?:;\s*q=(?:1|0\.0*[1-9])[\d.]*\s*)?(?:,|$)/i.test(accepted);
}

/** RFC 9110, 13.1.2: compared weakly, since a proxy that packs the body itself makes the validator a weak one. */
function isHeld(held = "", etag: string): boolean {
  return held.split(",").some((one) => ["*", etag].includes(one.trim().replace(/^W\//, "")));
}
