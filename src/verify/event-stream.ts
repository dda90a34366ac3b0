import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { shouldReconnect } from "../protocol/codes.ts";
import { isObject, parse } from "../protocol/json.ts";
import type { ConnectionEnd } from "./connection.ts";

/** What stands between two empty lines (HTML, 9.2.6). */
export interface Block {
  readonly type: string;
  readonly id: string | undefined;
  readonly data: string | undefined;
}

export interface EventStreamOptions {
  /** `http://host:port/…` */
  readonly url: string;
  readonly token: string;
  readonly lastEventId: string | undefined;
  onBlock(block: Block): void;
  /** Once, after the last block. */
  onEnd(end: ConnectionEnd): void;
}

/** For the head of the answer, and for what a stream begins with. */
const ANSWER_MS = 10_000;
/** A heartbeat may be so late. */
const LATE_MS = 5_000;
const MAX_REFUSAL_CHARS = 300;

/** One event stream of a node, with a watchdog: a node that says nothing, not even a comment, is dead. */
export class EventStream {
  readonly #request: ClientRequest;
  readonly #options: EventStreamOptions;
  #watchdog: NodeJS.Timeout;
  #rest = "";
  #lines: string[] = [];
  /** What the node said of the end before it came. */
  #announced: ConnectionEnd | undefined;
  #ended = false;

  constructor(options: EventStreamOptions) {
    this.#options = options;
    const { url, token, lastEventId } = options;
    const request = url.startsWith("https:") ? httpsRequest : httpRequest;
    this.#request = request(url, {
      agent: false,
      headers: {
        accept: "text/event-stream",
        authorization: `Bearer ${token}`,
        ...(lastEventId !== undefined && { "last-event-id": lastEventId }),
      },
    });
    this.#request.on("response", (response) => this.#read(response));
    this.#request.on("error", ({ message }) => this.#end({ again: true, why: message || "no connection" }));
    this.#request.end();
    this.#watchdog = setTimeout(() => this.#giveUp(), ANSWER_MS);
  }

  /** Cuts it. Nothing is heard of it any more, not even its end. */
  cut(): void {
    this.#ended = true;
    clearTimeout(this.#watchdog);
    this.#request.destroy();
  }

  #read(response: IncomingMessage): void {
    const { statusCode = 0 } = response;
    response.setEncoding("utf8");
    response.on("error", () => {}); // followed by `close`
    this.#watchdog.refresh();
    if (statusCode !== 200) return this.#refused(statusCode, response);
    response.on("data", (text: string) => {
      if (!this.#ended) this.#hear(text);
    });
    response.on("close", () => this.#end(this.#announced ?? { again: true, why: "the stream ended" }));
  }

  #refused(status: number, response: IncomingMessage): void {
    let body = "";
    response.on("data", (text: string) => {
      if (body.length < MAX_REFUSAL_CHARS) body += text;
    });
    response.on("close", () => {
      const again = status === 429 || status >= 500;
      this.#end({ again, why: `refused: ${status} ${body.trim().slice(0, MAX_REFUSAL_CHARS)}` });
    });
  }

  /** A line break is CR, LF or CRLF; a CR at the very end may be the first half of one. */
  #hear(text: string): void {
    this.#watchdog.refresh();
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line !== "") this.#lines.push(line);
      else if (!this.#ended) this.#block();
    }
  }

  #block(): void {
    let type = "message";
    let id: string | undefined;
    let data: string | undefined;
    for (const line of this.#lines) {
      const [, field, value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
      if (field === "event") type = value;
      if (field === "id") id = value;
      if (field === "data") data = data === undefined ? value : `${data}\n${value}`;
    }
    this.#lines = [];
    if (type === "$welcome") this.#expectHeartbeats(data);
    if (type === "$error" || type === "$closing") this.#announce(type, data);
    this.#options.onBlock({ type, id, data });
  }

  #expectHeartbeats(data: string | undefined): void {
    const told = parse(data ?? "");
    if (!isObject(told) || typeof told.heartbeat !== "number") return;
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#giveUp(), told.heartbeat + LATE_MS);
  }

  #announce(type: string, data: string | undefined): void {
    const told = parse(data ?? "");
    if (!isObject(told)) return;
    const why = `${type} ${String(told.code)} ${String(told.message ?? told.reason)}`;
    const again = typeof told.code === "number" ? shouldReconnect(told.code) : told.temporary === true;
    this.#announced = { again, why };
  }

  #giveUp(): void {
    this.#end({ again: true, why: "the node has fallen silent" });
    this.#request.destroy();
  }

  #end(end: ConnectionEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#watchdog);
    this.#options.onEnd(end);
  }
}
