import { isOriginAllowed, type OriginRule } from "../../auth/origin.ts";
import type { RequestHead } from "../request.ts";
import type { Answer } from "./answer.ts";

type Headed = Pick<Answer, "headers">;

/** Says which request it answers, and lets the pages of allowed origins read it. `Vary` always, or a cache gives one origin's answer to another. */
export function withCors<T extends Headed>(
  answer: T,
  { id, origin, ownOrigin }: RequestHead,
  rule: OriginRule,
): T {
  const { vary } = answer.headers;
  const own = { "x-request-id": id, vary: vary === undefined ? "Origin" : `${vary}, Origin` };
  if (origin === undefined || !isOriginAllowed(rule, origin, ownOrigin)) return withHeaders(answer, own);
  return withHeaders(answer, {
    ...own,
    "access-control-allow-origin": origin,
    "access-control-allow-credentials": "true",
    "access-control-expose-headers": "Retry-After, WWW-Authenticate, X-Request-Id",
  });
}

/** The answer to a preflight (Fetch standard, 4.8). */
export function preflight(methods: string): Answer {
  return {
    status: 204,
    headers: {
      allow: methods,
      "access-control-allow-methods": methods,
      "access-control-allow-headers":
        "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id, Traceparent",
      "access-control-max-age": "600",
    },
    body: "",
  };
}

function withHeaders<T extends Headed>(answer: T, headers: Record<string, string>): T {
  return { ...answer, headers: { ...answer.headers, ...headers } };
}
