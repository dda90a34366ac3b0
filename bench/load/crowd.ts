import { setTimeout as sleep } from "node:timers/promises";
import { Connection, type ConnectionEvents } from "./connection.ts";
import { channelName, FIRST_NUMBER, findNumber, hasNumberAt, readNumber } from "./events.ts";
import type { Target } from "./job.ts";
import { tokenSigner } from "./token.ts";
import { upgradeRequest } from "./upgrade-request.ts";

const OPENING_AT_ONCE = 200;
const PATIENCE_MS = 60_000;

/** Told of every event, in the generator's hot path. */
export type OnEvent = (number: number, payloadBytes: number, nowMs: number) => void;

/** Many connections that listen to a ring of channels, and the count of what each of them got. */
export class Crowd implements ConnectionEvents {
  readonly connections: Connection[] = [];
  received = 0;
  disordered = 0;
  closed = 0;

  readonly #target: Target;
  readonly #channels: number;
  readonly #onEvent: OnEvent;
  #subscribed = 0;
  #complaint: string | null = null;

  constructor(target: Target, channels: number, onEvent: OnEvent = () => {}) {
    this.#target = target;
    this.#channels = channels;
    this.#onEvent = onEvent;
  }

  /** Opens the sockets and returns when each of them was told that it is subscribed. */
  async open(sockets: number): Promise<void> {
    const { port, secret } = this.#target;
    const sign = secret === null ? null : tokenSigner(secret);
    for (let index = 0; index < sockets; index++) {
      const channel = index % this.#channels;
      const request = upgradeRequest([channelName(channel)], sign === null ? null : sign(index));
      const connection = new Connection(index, port, request, this);
      connection.nextNumber = FIRST_NUMBER + channel;
      this.connections.push(connection);
      if (index % OPENING_AT_ONCE === OPENING_AT_ONCE - 1) await this.#untilSubscribed(index + 1);
    }
    await this.#untilSubscribed(sockets);
  }

  /** Subscribes every socket to further channels with one frame each. */
  async subscribeFurther(channelsOf: (index: number) => string[]): Promise<number> {
    let wanted = this.#subscribed;
    for (const connection of this.connections) {
      const channels = channelsOf(connection.index).map((channel) => ({ channel }));
      connection.send(JSON.stringify({ type: "subscribe", ref: 1, channels }));
      wanted += channels.length;
      if (connection.index % OPENING_AT_ONCE === 0) await this.#untilSubscribed(wanted);
    }
    await this.#untilSubscribed(wanted);
    return wanted - this.connections.length;
  }

  drop(): void {
    for (const connection of this.connections) connection.drop();
    this.connections.length = 0;
  }

  onText(connection: Connection, buffer: Buffer, start: number, length: number, nowMs: number): void {
    if (!hasNumberAt(buffer, start + connection.numberAt)) {
      const at = findNumber(buffer, start, length);
      if (at < 0) {
        this.#onControl(connection, buffer.toString("utf8", start, start + length));
        return;
      }
      connection.numberAt = at;
    }
    const number = readNumber(buffer, start + connection.numberAt);
    if (number !== connection.nextNumber) this.disordered++;
    connection.nextNumber = number + this.#channels;
    connection.received++;
    this.received++;
    this.#onEvent(number, length, nowMs);
  }

  onEnd(_connection: Connection, reason: string): void {
    this.closed++;
    this.#complaint ??= reason;
  }

  #onControl(connection: Connection, text: string): void {
    const frame = JSON.parse(text) as { type: string };
    if (frame.type === "subscribed") {
      connection.subscribed++;
      this.#subscribed++;
    } else if (frame.type === "error") {
      this.#complaint ??= text;
    }
  }

  async #untilSubscribed(wanted: number): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (this.#subscribed < wanted) {
      if (this.#complaint !== null) throw new Error(`connection failed: ${this.#complaint}`);
      if (performance.now() > deadline) {
        throw new Error(`${this.#subscribed} of ${wanted} subscriptions after ${PATIENCE_MS} ms`);
      }
      await sleep(2);
    }
  }
}
