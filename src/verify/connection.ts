import { WebSocket } from "ws";
import { shouldReconnect } from "../protocol/codes.ts";
import { isObject, parse } from "../protocol/json.ts";
import { type ConnectionEnd, readRefusal, SILENCE_MS } from "./ended.ts";

/** A frame of the node, as JSON. */
export type Frame = Readonly<Record<string, unknown>> & { readonly type: string };

export interface ConnectionOptions {
  /** `ws://…/ws` */
  readonly url: string;
  readonly token: string;
  /** Not to the node that the balancer's cookie would lead to. */
  readonly fresh?: boolean;
  onFrame(frame: Frame): void;
  /** Once, after the last frame. */
  onEnd(end: ConnectionEnd): void;
}

const HANDSHAKE_MS = 5_000;
const DEFAULT_HEARTBEAT_MS = 30_000;

/** One WebSocket to a node, with a watchdog: a node that neither speaks nor pings is dead. */
export class Connection {
  readonly #socket: WebSocket;
  readonly #options: ConnectionOptions;
  #heartbeatMs = DEFAULT_HEARTBEAT_MS;
  #watchdog: NodeJS.Timeout | undefined;
  #failure: ConnectionEnd | undefined;
  #ended = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { url, token, fresh = false } = options;
    this.#socket = new WebSocket(fresh ? `${url}?fresh=1` : url, ["tidegate.v1"], {
      headers: { authorization: `Bearer ${token}` },
      perMessageDeflate: false,
      handshakeTimeout: HANDSHAKE_MS,
    });
    this.#socket.on("open", () => this.#heard());
    this.#socket.on("ping", () => this.#heard());
    this.#socket.on("message", (data) => this.#receive(String(data)));
    this.#socket.on("unexpected-response", (_request, response) =>
      readRefusal(response, (end) => this.#end(end)),
    );
    this.#socket.on("error", ({ message }) => {
      this.#failure = { again: true, why: message || "no connection" };
    });
    this.#socket.on("close", (code, reason) => {
      const closed = { again: shouldReconnect(code), why: `closed: ${code} ${reason.toString()}`.trim() };
      this.#end(this.#failure ?? closed);
    });
  }

  /** @returns false when there is no connection to send it on */
  send(frame: object): boolean {
    if (this.#ended || this.#socket.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Cuts it, without a word to the node. Nothing is heard of it any more, not even its end. */
  cut(): void {
    this.#ended = true;
    clearTimeout(this.#watchdog);
    this.#socket.terminate();
  }

  #receive(text: string): void {
    if (this.#ended) return;
    const frame = parse(text);
    if (!isObject(frame) || typeof frame.type !== "string") return;
    if (frame.type === "welcome" && typeof frame.heartbeat === "number") {
      this.#heartbeatMs = frame.heartbeat;
      clearTimeout(this.#watchdog);
      this.#watchdog = undefined;
    }
    this.#heard();
    this.#options.onFrame(frame as Frame);
  }

  #heard(): void {
    if (this.#ended) return;
    if (this.#watchdog) return void this.#watchdog.refresh();
    this.#watchdog = setTimeout(() => {
      this.#socket.terminate();
      this.#end({ again: true, why: "the node has fallen silent" });
    }, this.#heartbeatMs + SILENCE_MS);
  }

  #end(end: ConnectionEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#watchdog);
    this.#options.onEnd(end);
  }
}
