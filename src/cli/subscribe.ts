import { WebSocket } from "ws";
import { shouldReconnect } from "../protocol/codes.ts";

export interface Tail {
  readonly url: string;
  readonly channels: readonly string[];
  token(): string;
  /** Each frame of the node, events and others. */
  print(frame: string): void;
  /** What happens to the connection. */
  note(line: string): void;
}

const MIN_WAIT_MS = 500;
const MAX_WAIT_MS = 20_000;

/** Follows channels, and comes back when the connection ends, until the node says not to. */
export async function subscribe(tail: Tail): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const { code, reason, welcomed } = await connection(tail);
    if (!shouldReconnect(code)) throw new Error(`closed by the node: ${code} ${reason}`);
    if (welcomed) attempt = 0;
    // Full jitter: a fleet of these must not come back as one.
    const wait = MIN_WAIT_MS + Math.random() * Math.min(MAX_WAIT_MS, MIN_WAIT_MS * 2 ** attempt);
    tail.note(`connection lost (${code} ${reason || "no close frame"}), again in ${Math.round(wait)} ms`);
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

function connection(tail: Tail): Promise<{ code: number; reason: string; welcomed: boolean }> {
  return new Promise((resolve, reject) => {
    const query = new URLSearchParams(tail.channels.map((channel): [string, string] => ["channel", channel]));
    const socket = new WebSocket(`${tail.url}/ws?${query}`, ["tidegate.v1"], {
      headers: { authorization: `Bearer ${tail.token()}` },
      perMessageDeflate: false,
    });
    let welcomed = false;
    socket.on("message", (data) => {
      welcomed = true;
      tail.print(String(data));
    });
    socket.on("unexpected-response", (_request, response) => {
      response.setEncoding("utf8");
      let body = "";
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => {
        if (response.statusCode === 429 || (response.statusCode ?? 0) >= 500)
          resolve({ code: 1006, reason: body.trim(), welcomed });
        else reject(new Error(`refused: ${response.statusCode} ${body.trim()}`));
      });
    });
    socket.on("error", () => {}); // followed by `close`
    socket.on("close", (code, reason) => resolve({ code, reason: reason.toString(), welcomed }));
  });
}
