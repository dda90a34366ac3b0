import { asyncApi } from "../docs/asyncapi.ts";
import { openApi } from "../docs/openapi.ts";
import { CONTENT_SECURITY_POLICY, page } from "../docs/page/page.ts";
import type { Answer } from "../transport/http/answer.ts";
import type { Route } from "../transport/http/http.ts";

const HEADERS = { "cache-control": "no-cache", "x-content-type-options": "nosniff" };

/**
 * What describes the API. Public: it holds nothing that the project's pages do not.
 * @param version of the gateway
 */
export function docsRoutes(version: string): Route[] {
  const route = (path: string, type: string, body: string, more: Record<string, string> = {}): Route => {
    const answer: Answer = { status: 200, headers: { "content-type": type, ...HEADERS, ...more }, body };
    return { method: "get", path, handle: () => answer };
  };
  return [
    route("/openapi.json", "application/json", `${JSON.stringify(openApi(version))}\n`),
    route("/asyncapi.json", "application/json", `${JSON.stringify(asyncApi(version))}\n`),
    route("/docs", "text/html; charset=utf-8", page(version), {
      "content-security-policy": CONTENT_SECURITY_POLICY,
      "referrer-policy": "no-referrer",
    }),
  ];
}
