import type { Edge } from "../../hub/edge.ts";
import type { EncodedEvent } from "../../hub/encoded-event.ts";
import type { LossReason } from "../../protocol/frames.ts";
import type { Position } from "../../protocol/position.ts";
import type { DeliveryCounts } from "../counts.ts";
import type { Queues } from "../queues.ts";
import { blockFor, eventBlock, lostBlock } from "./blocks.ts";
import type { SseConnection, Streams } from "./connection.ts";

/** The way of events to event streams: what is the same for all is encoded once, and each is written once a turn. */
export class SseStreams implements Edge, Streams {
  readonly #counts: DeliveryCounts;
  readonly #queues: Queues;
  readonly #connections = new Set<SseConnection>();
  readonly #byChannel = new Map<string, Set<SseConnection>>();
  /** Those that something was put into in this turn. */
  #written: SseConnection[] = [];

  constructor(counts: DeliveryCounts, queues: Queues) {
    this.#counts = counts;
    this.#queues = queues;
    queues.include(() => this.#connections);
  }

  get size(): number {
    return this.#connections.size;
  }

  add(connection: SseConnection): void {
    this.#connections.add(connection);
  }

  remove(connection: SseConnection): void {
    this.#connections.delete(connection);
  }

  join(connection: SseConnection, channel: string): void {
    const here = this.#byChannel.get(channel);
    if (here) here.add(connection);
    else this.#byChannel.set(channel, new Set([connection]));
  }

  leave(connection: SseConnection, channel: string): void {
    const here = this.#byChannel.get(channel);
    if (here?.delete(connection) && here.size === 0) this.#byChannel.delete(channel);
  }

  broadcast(event: EncodedEvent): void {
    const here = this.#byChannel.get(event.channel);
    if (!here) return;
    const block = eventBlock(event);
    let bytes = 0;
    let delivered = 0;
    for (const connection of here) {
      if (connection.id === event.except) {
        const own = blockFor(event, connection.id);
        if (own) bytes += connection.deliver(own);
        continue;
      }
      bytes += connection.deliver(block);
      delivered++;
    }
    this.handOnEvents(delivered, bytes);
  }

  lost(channel: string, position: Position | undefined, reason: LossReason): void {
    const here = this.#byChannel.get(channel);
    if (!here) return;
    const block = lostBlock(channel, position, reason);
    for (const connection of here) connection.deliver(block);
  }

  handOnEvents(events: number, bytes: number): void {
    this.#counts.delivered += events;
    this.#counts.deliveredBytes += bytes;
    this.#queues.handOn(bytes);
  }

  flushSoon(connection: SseConnection): void {
    if (this.#written.push(connection) === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const written = this.#written;
    this.#written = [];
    for (const connection of written) connection.flush();
  }
}
