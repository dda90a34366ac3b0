import type { IncomingMessage } from "node:http";

/** How a connection, or the attempt to have one, ended. */
export interface ConnectionEnd {
  /** Whether to come back. */
  readonly again: boolean;
  /** For people: the close code, the refusal, the error. */
  readonly why: string;
  /** Of the answer that refused it; undefined: none did. */
  readonly status?: number;
}

/** How much longer than its heartbeat a node may say nothing before it counts as dead, in milliseconds. */
export const SILENCE_MS = 5_000;
const MAX_REFUSAL_CHARS = 300;

/** Whether the same request may be answered otherwise a moment later. 408 is a proxy's that lost the node. */
export function isTemporary(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/** An answer that is not what was asked for: reads what it says. */
export function readRefusal(response: IncomingMessage, then: (end: ConnectionEnd) => void): void {
  const { statusCode: status = 0, headers } = response;
  let body = "";
  response.setEncoding("utf8");
  response.on("data", (text: string) => {
    if (body.length < MAX_REFUSAL_CHARS) body += text;
  });
  response.on("close", () => {
    const { location, "content-type": type = "no type" } = headers;
    then({ again: isTemporary(status), status, why: `refused: ${status} ${saying(location, type, body)}` });
  });
}

function saying(location: string | undefined, type: string, body: string): string {
  if (location !== undefined) return `it has moved to ${location}: verify what is there`;
  if (/html/i.test(type)) return `a web page (${type}), and no gateway`;
  return body.trim().slice(0, MAX_REFUSAL_CHARS) || `nothing said (${type})`;
}
