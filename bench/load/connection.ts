import type { Socket } from "node:net";
import { type FrameSink, pongFrame, readFrames, textFrame } from "./frames.ts";
import { rawSocket } from "./raw-socket.ts";

const HEADER_END = Buffer.from("\r\n\r\n");

export interface ConnectionEvents {
  onText(connection: Connection, buffer: Buffer, start: number, length: number, nowMs: number): void;
  onEnd(connection: Connection, reason: string): void;
  /** The head of the response that accepted it. */
  onOpen?(connection: Connection, head: string): void;
}

/** One client WebSocket on a plain socket, as cheap to read as Node allows. */
export class Connection implements FrameSink {
  readonly index: number;
  /** The number the next event of this connection's channel must carry. */
  nextNumber = 0;
  /** Where in a frame the event's number was last found. */
  numberAt = 0;
  received = 0;
  subscribed = 0;
  open = true;

  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  #upgraded = false;
  #rest: Buffer | null = null;
  #nowMs = 0;

  constructor(index: number, port: number, request: Buffer, events: ConnectionEvents) {
    this.index = index;
    this.#events = events;
    this.#socket = rawSocket(
      port,
      request,
      (bytes) => this.#read(bytes),
      (reason) => this.#end(reason),
    );
  }

  send(text: string): void {
    this.#socket.write(textFrame(text));
  }

  drop(): void {
    this.open = false;
    this.#socket.resetAndDestroy();
  }

  onText(buffer: Buffer, start: number, length: number): void {
    this.#events.onText(this, buffer, start, length, this.#nowMs);
  }

  onPing(payload: Buffer): void {
    this.#socket.write(pongFrame(payload));
  }

  onClose(code: number): void {
    this.#end(`close frame ${code}`);
  }

  #read(bytes: Buffer): void {
    this.#nowMs = performance.now();
    let buffer = bytes;
    if (this.#rest !== null) {
      buffer = Buffer.concat([this.#rest, bytes]);
      this.#rest = null;
    }
    const end = buffer.length;
    const at = this.#upgraded ? 0 : this.#readResponse(buffer, end);
    const done = this.#upgraded ? readFrames(buffer, at, end, this) : at;
    if (done < end) this.#rest = Buffer.from(buffer.subarray(done, end));
  }

  #readResponse(buffer: Buffer, end: number): number {
    const headerEnd = buffer.subarray(0, end).indexOf(HEADER_END);
    if (headerEnd < 0) return 0;
    const head = buffer.toString("latin1", 0, headerEnd);
    if (head.startsWith("HTTP/1.1 101")) {
      this.#upgraded = true;
      this.#events.onOpen?.(this, head);
    } else this.#end(`refused: ${buffer.toString("latin1", 0, Math.min(end, 600))}`);
    return headerEnd + HEADER_END.length;
  }

  #end(reason: string): void {
    if (!this.open) return;
    this.open = false;
    this.#events.onEnd(this, reason);
  }
}
