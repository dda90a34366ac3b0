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
  let answer: Answer | undefined;
  const handle = () => {
    answer ??= { status: 200, headers: { "content-type": type, ...HEADERS, ...more }, body: write() };
    return answer;
  };
  return { method: "get", path, handle };
}
