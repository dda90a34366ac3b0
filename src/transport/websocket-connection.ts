import type { EncodedEvent } from "../hub/encoded-event.ts";
import { splitBinary } from "../protocol/binary.ts";
import { type CloseReason, CODES, RequestError } from "../protocol/codes.ts";
import type { ServerFrame } from "../protocol/frames.ts";
import type { Connection } from "../session/connection.ts";
import type { Session } from "../session/session.ts";
import type { Beating } from "./heartbeat.ts";
import { DROPPED, type WebSocket } from "./uws.ts";

/** What is counted where it happens; plain numbers, read at scrape. */
export interface WebSocketCounts {
  opened: number;
  /** Events put on a wire. */
  delivered: number;
  deliveredBytes: number;
  /** Times that a socket was written to for events: sockets × ticks that had one. */
  writes: number;
  /** By our code, or `client` when it closed, or `lost` when there was no close frame. */
  readonly closed: { add(reason: string): void };
  /** Seconds from a ping to its pong. */
  readonly roundTrips: { observe(seconds: number): void };
}

/**
 * How long a client that fell behind may take to read what is queued, so that it gets the close code behind it.
 * One that takes nothing is cut: to it, that is 1006, which also means: come back.
 */
const LINGER_MS = 5_000;

/** A WebSocket of uWebSockets.js as a session's connection. Its socket is gone after `onClose`: never touched again. */
export class WebSocketConnection implements Connection, Beating {
  readonly transport = "websocket";
  readonly id: string;
  /** Whether the client takes binary frames. */
  readonly binary: boolean;
  readonly #counts: WebSocketCounts;
  readonly #maxFrameBytes: number;
  #socket: WebSocket<unknown> | undefined;
  /** Set right after construction: a session needs its connection first. */
  session!: Session;
  /** Its place on the heartbeat's wheel. */
  slot = -1;
  /** `performance.now` of a ping without its pong; 0 when there is none. */
  #pingedAt = 0;
  #reason: CloseReason | undefined;
  #linger: NodeJS.Timeout | undefined;

  constructor(id: string, binary: boolean, maxFrameBytes: number, counts: WebSocketCounts) {
    this.id = id;
    this.binary = binary;
    this.#maxFrameBytes = maxFrameBytes;
    this.#counts = counts;
  }

  /** The handshake is done. */
  onOpen(socket: WebSocket<unknown>): void {
    this.#socket = socket;
    this.#counts.opened++;
    this.session.begin();
  }

  /** A complete frame; its memory is uWebSockets.js's and gone afterwards. */
  onMessage(message: ArrayBuffer, isBinary: boolean): void {
    if (message.byteLength > this.#maxFrameBytes) return this.close("too_big");
    if (this.#reason) return;
    if (!isBinary) return this.session.receive(Buffer.from(message).toString());
    const parts = this.binary ? splitBinary(new Uint8Array(message.slice(0))) : undefined;
    if (parts) this.session.receive(parts.json, parts.payload);
    else this.session.reject(new RequestError("bad_frame", this.#binaryRule()));
  }

  #binaryRule(): string {
    return this.binary
      ? "a binary frame is uint16 length, JSON in UTF-8, payload"
      : "binary frames need the subprotocol tidegate.v1.binary";
  }

  onPong(): void {
    if (this.#pingedAt === 0) return; // unasked for
    this.#counts.roundTrips.observe((performance.now() - this.#pingedAt) / 1000);
    this.#pingedAt = 0;
  }

  /** What was queued has gone out, all or some. */
  onDrain(): void {
    if (this.#linger && this.#socket?.getBufferedAmount() === 0) this.#end("slow");
  }

  onClose(code: number): void {
    this.#socket = undefined;
    clearTimeout(this.#linger);
    this.#counts.closed.add(this.#reason ?? (code === 1006 ? "lost" : "client"));
    this.session.end();
  }

  deliver(events: readonly EncodedEvent[]): void {
    const socket = this.#socket;
    if (!socket || this.#reason) return;
    this.#counts.writes++;
    if (events.length === 1) {
      this.#sendEvent(socket, events[0] as EncodedEvent);
      return;
    }
    socket.cork(() => {
      for (const event of events) if (!this.#sendEvent(socket, event)) return;
    });
  }

  /** After a send that was dropped nothing more is sent, or a later event could arrive behind a hole. */
  #sendEvent(socket: WebSocket<unknown>, event: EncodedEvent): boolean {
    const binary = this.binary ? event.binary : undefined;
    // Most sends are text; the second argument alone costs a call into V8.
    const result = binary === undefined ? socket.send(event.text) : socket.send(binary, true);
    if (result === DROPPED) {
      this.#abandon(socket);
      return false;
    }
    this.#counts.delivered++;
    this.#counts.deliveredBytes += binary === undefined ? event.text.length : binary.length;
    return true;
  }

  send(...frames: readonly ServerFrame[]): void {
    const socket = this.#socket;
    if (!socket || this.#reason) return;
    socket.cork(() => {
      for (const frame of frames) {
        if (socket.send(JSON.stringify(frame)) === DROPPED) return this.#abandon(socket);
      }
    });
  }

  ping(): void {
    if (!this.#socket || this.#reason) return;
    this.#pingedAt = performance.now();
    if (this.#socket.ping() === DROPPED) this.#abandon(this.#socket);
  }

  get awaitsPong(): boolean {
    return this.#pingedAt !== 0;
  }

  onSilence(): void {
    this.close("no_pong");
  }

  close(reason: CloseReason): void {
    if (this.#socket && !this.#reason) this.#end(reason);
  }

  /** Dead to the hub at once; the wire has a little time to empty. */
  #abandon(socket: WebSocket<unknown>): void {
    this.#reason = "slow";
    this.session.end();
    this.#linger = setTimeout(() => socket.close(), LINGER_MS);
  }

  #end(reason: CloseReason): void {
    this.#reason = reason;
    this.#socket?.end(CODES[reason].close, reason);
  }
}
