import type { EncodedEvent } from "../../hub/encoded-event.ts";
import { splitBinary } from "../../protocol/binary.ts";
import { type CloseReason, CODES, RequestError } from "../../protocol/codes.ts";
import type { ServerFrame } from "../../protocol/frames.ts";
import type { Connection } from "../../session/connection.ts";
import type { Conversation } from "../../session/conversation.ts";
import type { ConnectionCounts } from "../counts.ts";
import { Drains } from "../drains.ts";
import type { Beating } from "../heartbeat.ts";
import type { Fragments, WebSocket } from "../uws.ts";

export interface WebSocketCounts extends ConnectionCounts {
  /** Seconds from a ping to its pong. */
  readonly roundTrips: { observe(seconds: number): void };
}

/** Where the events of its channels come from. */
export interface Topics {
  add(connection: WebSocketConnection): void;
  remove(connection: WebSocketConnection): void;
  /** So many bytes are about to be sent. This may cut connections, the one that sends among them. */
  handOn(bytes: number): void;
  /** Likewise, of events of so many bytes each, to one connection. */
  handOnEvents(sizes: readonly number[]): void;
  /** Something for it was dropped. May be in the middle of a send: nothing may be done to any socket right now. */
  fellBehind(connection: WebSocketConnection): void;
}

/** Clients that take binary frames have a topic of their own. No channel name contains a space. */
export function topicOf(channel: string, binary: boolean): string {
  return binary ? `${channel} binary` : channel;
}

/**
 * How long a client that fell behind may take to read what is queued, so that it gets the close code behind it.
 * One that takes nothing is cut: to it, that is 1006, which also means: come back.
 */
const LINGER_MS = 4_000;

/**
 * Frames from this size on do not fit the buffer that all sockets of uWebSockets.js share. They go through one of the
 * socket's own, which it keeps for good (before v20.50: 60 KB for each of 15,000 readers), so they are fragmented.
 */
export const LARGE_BYTES = 16 * 1024;
/** With its header it fits. */
const FRAGMENT_BYTES = 15 * 1024;

/** A WebSocket of uWebSockets.js as a session's connection. Its socket is gone after `onClose`: never touched again. */
export class WebSocketConnection implements Connection, Beating {
  readonly transport = "websocket";
  readonly id: string;
  /** Whether the client takes binary frames. */
  readonly binary: boolean;
  readonly #counts: WebSocketCounts;
  readonly #maxFrameBytes: number;
  readonly #topics: Topics;
  #socket: WebSocket<unknown> | undefined;
  /** Set right after construction: a conversation needs its connection first. */
  conversation!: Conversation;
  /** Its place on the heartbeat's wheel. */
  slot = -1;
  /** `performance.now` of a ping without its pong; 0 when there is none. */
  #pingedAt = 0;
  #reason: CloseReason | undefined;
  #linger: NodeJS.Timeout | undefined;
  #drains: Drains | undefined;

  constructor(id: string, binary: boolean, maxFrameBytes: number, topics: Topics, counts: WebSocketCounts) {
    this.id = id;
    this.binary = binary;
    this.#maxFrameBytes = maxFrameBytes;
    this.#topics = topics;
    this.#counts = counts;
  }

  /** The handshake is done. */
  onOpen(socket: WebSocket<unknown>): void {
    this.#socket = socket;
    this.#topics.add(this);
    this.#counts.opened++;
    this.conversation.begin();
  }

  /** A complete frame; its memory is uWebSockets.js's and gone afterwards. */
  onMessage(message: ArrayBuffer, isBinary: boolean): void {
    if (message.byteLength > this.#maxFrameBytes) return this.close("too_big");
    if (this.#reason) return;
    if (!isBinary) return this.conversation.receive(Buffer.from(message).toString());
    const parts = this.binary ? splitBinary(new Uint8Array(message.slice(0))) : undefined;
    if (parts) this.conversation.receive(parts.json, parts.payload);
    else this.conversation.reject(new RequestError("bad_frame", this.#binaryRule()));
  }

  #binaryRule(): string {
    return this.binary
      ? "a binary frame is uint16 length, JSON in UTF-8, payload"
      : "binary frames need the subprotocol tidegate.v1.binary";
  }

  onPong(): void {
    if (this.#pingedAt === 0) return this.conversation.controlFrame();
    this.#counts.roundTrips.observe((performance.now() - this.#pingedAt) / 1000);
    this.#pingedAt = 0;
  }

  /** What was queued has gone out, all or some. */
  onDrain(): void {
    this.#drains?.wake();
    if (this.#linger && this.#socket?.getBufferedAmount() === 0) this.#end("slow");
  }

  onClose(code: number): void {
    this.#socket = undefined;
    this.#topics.remove(this);
    clearTimeout(this.#linger);
    this.#drains?.wake();
    const how = this.#reason ?? (code === 1006 ? "lost" : "client");
    this.#counts.closed.add(how);
    this.conversation.end(how === "client");
  }

  join(channel: string): void {
    if (!this.#reason) this.#socket?.subscribe(topicOf(channel, this.binary));
  }

  leave(channel: string): void {
    this.#socket?.unsubscribe(topicOf(channel, this.binary));
  }

  isIn(topic: string): boolean {
    return this.#socket?.isSubscribed(topic) ?? false;
  }

  publishToOthers(topic: string, frame: Uint8Array, isBinary: boolean): void {
    this.#socket?.publish(topic, frame, isBinary);
  }

  /** At least `LARGE_BYTES`. */
  sendLarge(frame: Uint8Array, isBinary: boolean): void {
    const socket = this.#socket as (WebSocket<unknown> & Fragments) | undefined;
    if (!socket || this.#reason) return;
    socket.sendFirstFragment(frame.subarray(0, FRAGMENT_BYTES), isBinary);
    let at = FRAGMENT_BYTES;
    for (; at + FRAGMENT_BYTES < frame.length; at += FRAGMENT_BYTES) {
      if (!this.#reason) socket.sendFragment(frame.subarray(at, at + FRAGMENT_BYTES));
    }
    if (!this.#reason) socket.sendLastFragment(frame.subarray(at));
  }

  send(...frames: readonly ServerFrame[]): void {
    this.#write(frames.map((frame) => JSON.stringify(frame)));
  }

  sendText(text: string): void {
    this.#write([text]);
  }

  #write(texts: readonly string[]): void {
    if (this.#reason) return;
    this.#topics.handOn(texts.reduce((sum, text) => sum + text.length, 0));
    const socket = this.#socket;
    socket?.cork(() => {
      for (const text of texts) if (!this.#reason) socket.send(text);
    });
  }

  sendEvents(events: readonly EncodedEvent[]): void {
    if (this.#reason) return;
    const mine = events.filter(({ except }) => except !== this.id);
    const frames = mine.map(({ text, binary }) => ({
      frame: (this.binary && binary) || text,
      isBinary: this.binary && binary !== undefined,
    }));
    this.#topics.handOnEvents(frames.map(({ frame }) => frame.length));
    const socket = this.#socket;
    socket?.cork(() => {
      for (const { frame, isBinary } of frames) {
        if (frame.length >= LARGE_BYTES) this.sendLarge(frame, isBinary);
        else if (!this.#reason) socket.send(frame, isBinary);
      }
    });
  }

  async drained(withinMs: number): Promise<boolean> {
    if (!this.#socket) return true;
    this.#drains ??= new Drains();
    return await this.#drains.next(withinMs);
  }

  ping(): void {
    if (!this.#socket || this.#reason) return;
    this.#pingedAt = performance.now();
    this.#socket.ping();
  }

  get awaitsPong(): boolean {
    return this.#pingedAt !== 0;
  }

  onSilence(): void {
    this.close("no_pong");
  }

  handOver(graceMs: number, reconnectInMs: number): void {
    this.conversation.handOver(graceMs, reconnectInMs);
  }

  close(reason: CloseReason): void {
    if (this.#socket && !this.#reason) this.#end(reason);
  }

  /**
   * Something for it was dropped, since its queue is full: nothing more is sent, or a later event could arrive behind
   * a hole.
   */
  onDropped(): void {
    if (this.#reason) return;
    this.#reason = "slow";
    this.#topics.fellBehind(this);
  }

  get queuedBytes(): number {
    return this.#socket?.getBufferedAmount() ?? 0;
  }

  /** Too much waits for it, and for others: it goes at once, with its queue. To the client that is 1006: come back. */
  cut(): void {
    this.#reason = "slow";
    this.#socket?.close();
  }

  /** It fell behind: out of the hub; the wire has a little time to empty, unless it is cut at once. */
  giveUp(atOnce: boolean): void {
    const socket = this.#socket;
    if (!socket) return;
    if (atOnce) return socket.close();
    this.conversation.end();
    this.#linger = setTimeout(() => socket.close(), LINGER_MS);
  }

  #end(reason: CloseReason): void {
    this.#reason = reason;
    this.#socket?.end(CODES[reason].close, reason);
  }
}
