import { RequestError } from "../protocol/codes.ts";
import { BEARER_PREFIX } from "../protocol/frames.ts";
import type { RequestHead } from "./request.ts";

/**
 * The token of a request, from the place that leaks least to the one that leaks most; `undefined` when it has none.
 * @param cookieName the cookie that may hold it, if any may
 * @throws {RequestError} origin_not_allowed when a cookie comes without `Origin` (CWE-1385: any page can make a
 *   browser send cookies, only `Origin` says which page it was; but of a GET to the page's own origin, such as an
 *   `EventSource`, a browser says that in `Sec-Fetch-Site` alone)
 */
export function tokenOf(head: RequestHead, cookieName: string | undefined): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(head.authorization ?? "")?.[1];
  if (bearer) return bearer;
  const offered = head.protocols.find((protocol) => protocol.startsWith(BEARER_PREFIX));
  if (offered) return offered.slice(BEARER_PREFIX.length);
  const query = head.query.get("token");
  if (query) return query;
  const cookie = cookieName === undefined ? undefined : cookieOf(head.cookie, cookieName);
  if (cookie !== undefined && head.origin === undefined && head.fetchSite !== "same-origin") {
    throw new RequestError("origin_not_allowed", "a token in a cookie needs an Origin header");
  }
  return cookie;
}

function cookieOf(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(";") ?? []) {
    const [key, value] = pair.split("=", 2);
    if (key?.trim() === name && value) return value.trim();
  }
  return undefined;
}
