import type { Edge } from "../../hub/edge.ts";
import type { EncodedEvent } from "../../hub/encoded-event.ts";
import { type LossReason, lostFrame } from "../../protocol/frames.ts";
import type { Position } from "../../protocol/position.ts";
import type { DeliveryCounts } from "../counts.ts";
import type { Queues } from "../queues.ts";
import type { TemplatedApp } from "../uws.ts";
import { LARGE_BYTES, type Topics, topicOf, type WebSocketConnection } from "./connection.ts";

/**
 * The way of events to WebSockets: the publish/subscribe of uWebSockets.js. It keeps the events of a turn of the
 * event loop and writes each socket's in one go; whatever else is sent to a socket goes out behind them. A loop of
 * sends in JavaScript costs half as much again per socket.
 */
export class WebSocketTopics implements Edge, Topics {
  readonly #app: TemplatedApp;
  readonly #counts: DeliveryCounts;
  readonly #connections = new Map<string, WebSocketConnection>();
  /** How many of them take binary frames. */
  #binary = 0;
  /** Those that took too little, until they are out of their topics. */
  #behind: WebSocketConnection[] = [];
  readonly #queues: Queues;

  constructor(app: TemplatedApp, counts: DeliveryCounts, queues: Queues) {
    this.#app = app;
    this.#counts = counts;
    this.#queues = queues;
    queues.include(() => this.#connections.values());
  }

  get size(): number {
    return this.#connections.size;
  }

  add(connection: WebSocketConnection): void {
    this.#connections.set(connection.id, connection);
    if (connection.binary) this.#binary++;
  }

  remove(connection: WebSocketConnection): void {
    if (this.#connections.delete(connection.id) && connection.binary) this.#binary--;
  }

  broadcast({ channel, text, binary, except }: EncodedEvent): void {
    const author = except === undefined ? undefined : this.#connections.get(except);
    this.#publish(topicOf(channel, false), text, false, author);
    if (this.#binary > 0) this.#publish(topicOf(channel, true), binary ?? text, binary !== undefined, author);
  }

  lost(channel: string, position: Position | undefined, reason: LossReason): void {
    const frame = Buffer.from(JSON.stringify(lostFrame(channel, position, reason)));
    for (const binary of [false, true]) {
      this.#dismissBehind();
      this.#app.publish(topicOf(channel, binary), frame, false);
    }
    this.#dismissBehind({ atOnce: true });
  }

  handOnEvents(sizes: readonly number[]): void {
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    this.#counts.delivered += sizes.length;
    this.#counts.deliveredBytes += bytes;
    this.handOn(bytes);
  }

  #publish(
    topic: string,
    frame: Uint8Array,
    isBinary: boolean,
    author: WebSocketConnection | undefined,
  ): void {
    this.#dismissBehind();
    let readers = this.#app.numSubscribers(topic);
    if (readers === 0) return;
    if (this.handOn(readers * frame.length)) readers = this.#app.numSubscribers(topic);
    const excluded = author?.isIn(topic) ? author : undefined;
    if (excluded) readers--;
    this.#counts.delivered += readers;
    this.#counts.deliveredBytes += readers * frame.length;
    if (frame.length >= LARGE_BYTES) return this.#sendLarge(topic, frame, isBinary, excluded, readers);
    if (excluded) excluded.publishToOthers(topic, frame, isBinary);
    else this.#app.publish(topic, frame, isBinary);
    // Who was found to be behind by this very call has the event in its queue, behind a hole: it must not go out.
    this.#dismissBehind({ atOnce: true });
  }

  /** Nobody can ask uWebSockets.js who is in a topic: a look at each connection, cheap beside an event of this size. */
  #sendLarge(
    topic: string,
    frame: Uint8Array,
    isBinary: boolean,
    excluded: WebSocketConnection | undefined,
    readers: number,
  ): void {
    let left = readers;
    for (const connection of this.#connections.values()) {
      if (left === 0) return;
      if (connection === excluded || !connection.isIn(topic)) continue;
      connection.sendLarge(frame, isBinary);
      left--;
    }
  }

  handOn(bytes: number): boolean {
    return this.#queues.handOn(bytes);
  }

  /** uWebSockets.js may be walking its topics: the connection leaves them before the next event, or the next turn. */
  fellBehind(connection: WebSocketConnection): void {
    if (this.#behind.push(connection) === 1) setImmediate(() => this.#dismissBehind());
  }

  #dismissBehind({ atOnce = false } = {}): void {
    if (this.#behind.length === 0) return;
    const behind = this.#behind;
    this.#behind = [];
    for (const connection of behind) connection.giveUp(atOnce);
  }
}
