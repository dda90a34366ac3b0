import { once } from "node:events";
import { type Agent, type IncomingMessage, request } from "node:http";

export interface Ask {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** One that keeps its connection. Default: a connection of its own. */
  readonly agent?: Agent;
}

export interface Answered {
  readonly status: number;
  readonly type: string;
  readonly headers: IncomingMessage["headers"];
  /** Of an event stream its first block. */
  readonly body: string;
}

/** One request, whatever its headers are, and its answer; a handshake that is accepted is an answer too. */
export async function ask({ method, url, headers, body, agent }: Ask): Promise<Answered> {
  const length = body === undefined ? {} : { "Content-Length": String(Buffer.byteLength(body)) };
  const sent = request(url, { method, headers: { ...headers, ...length }, agent: agent ?? false });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.on("response", resolve).on("upgrade", resolve).on("error", reject);
  });
  sent.end(body);
  const response = await answered;
  try {
    const { statusCode: status = 0, headers: got } = response;
    const type = got["content-type"] ?? "";
    const text =
      status === 101 ? "" : await read(response, type === "text/event-stream" ? "\n\n" : undefined);
    return { status, type, headers: got, body: text };
  } finally {
    if (!agent) sent.destroy();
  }
}

/** The body up to `end`, or the whole of it. */
async function read(response: IncomingMessage, end: string | undefined): Promise<string> {
  let text = "";
  response.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    if (end !== undefined && text.includes(end)) response.emit("end");
  });
  await once(response, "end");
  return text;
}
