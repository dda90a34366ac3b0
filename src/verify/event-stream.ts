import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { shouldReconnect } from "../protocol/codes.ts";
import { isObject, parse } from "../protocol/json.ts";
import { type ConnectionEnd, readRefusal, SILENCE_MS } from "./ended.ts";

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
    response.setEncoding("utf8");
    response.on("error", () => {}); // followed by `close`
    this.#watchdog.refresh();
    if (response.statusCode !== 200 || !/^text\/event-stream\b/i.test(response.headers["content-type"] ?? ""))
      return readRefusal(response, (end) => this.#end(end));
    response.on("data", (text: string) => {
      if (!this.#ended) this.#hear(text);
    });
    response.on("close", () => this.#end(this.#announced ?? { again: true, why: "the stream ended" }));
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
    this.#watchdog = setTimeout(() => this.#giveUp(), told.heartbeat + SILENCE_MS);
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
