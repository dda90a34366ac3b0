import type { Logger } from "pino";
import { CODES, type RequestError } from "../protocol/codes.ts";

/** Whether somebody was not known or not allowed, which is what operators look for in a log. */
export function isDenial({ code }: RequestError): boolean {
  const row = CODES[code];
  return "status" in row && (row.status === 401 || row.status === 403);
}

/** The line of a refusal: its code and the rule that was broken; never a token. */
export function logRefusal(
  log: Logger,
  level: "info" | "debug",
  error: RequestError,
  about: Readonly<Record<string, unknown>>,
): void {
  const { code, channel, reason, hint } = error;
  log[level]({ ...about, code, ...(channel === undefined ? {} : { channel }), reason, hint }, "refused");
}
