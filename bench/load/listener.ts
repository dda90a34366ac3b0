import type { Socket } from "node:net";
import { readNumber } from "./events.ts";
import { rawSocket } from "./raw-socket.ts";

const HEAD_END = Buffer.from("\r\n\r\n");
const KEY = Buffer.from('"n":1');
/** A key and the ten digits behind it. */
const WHOLE = KEY.length + 9;

export interface ListenerEvents {
  onHead(listener: Listener, head: string): void;
  onNumber(listener: Listener, number: number, nowMs: number): void;
  onEnd(listener: Listener, reason: string): void;
}

/** A client that finds the numbers of events in whatever it is sent: frames or an event stream, read equally cheaply. */
export class Listener {
  newest = 0;
  readonly #socket: Socket;
  readonly #events: ListenerEvents;
  #isOpen = false;
  #ended = false;
  /** The beginning of a number that the last read did not finish. */
  #rest: Buffer = Buffer.alloc(0);

  constructor(port: number, request: Buffer, events: ListenerEvents) {
    this.#events = events;
    this.#socket = rawSocket(
      port,
      request,
      (bytes) => this.#read(bytes),
      (reason) => this.#end(reason),
    );
  }

  drop(): void {
    this.#ended = true;
    this.#socket.resetAndDestroy();
  }

  #read(chunk: Buffer): void {
    const nowMs = performance.now();
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    this.#rest = Buffer.alloc(0);
    let at = 0;
    if (!this.#isOpen) {
      at = this.#readHead(bytes);
      if (!this.#isOpen) return this.#keep(bytes, 0);
    }
    for (;;) {
      const key = bytes.indexOf(KEY, at);
      if (key < 0) break;
      if (key + WHOLE > bytes.length) return this.#keep(bytes, key);
      this.#events.onNumber(this, readNumber(bytes, key), nowMs);
      at = key + WHOLE;
    }
    // A key that was cut in two ends the read.
    const quote = bytes.lastIndexOf(0x22);
    if (
      quote >= at &&
      quote > bytes.length - KEY.length &&
      KEY.subarray(0, bytes.length - quote).equals(bytes.subarray(quote))
    )
      this.#keep(bytes, quote);
  }

  #keep(bytes: Buffer, from: number): void {
    this.#rest = Buffer.from(bytes.subarray(from));
  }

  #readHead(bytes: Buffer): number {
    const end = bytes.indexOf(HEAD_END);
    if (end < 0) return 0;
    this.#isOpen = true;
    this.#events.onHead(this, bytes.toString("latin1", 0, end));
    return end + HEAD_END.length;
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#events.onEnd(this, reason);
  }
}
