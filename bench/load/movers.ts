import { setTimeout as sleep } from "node:timers/promises";
import { Connection, type ConnectionEvents } from "./connection.ts";
import { channelName, FIRST_NUMBER, findNumber, readNumber } from "./events.ts";
import type { RestartJob } from "./job.ts";
import type { RestartResult } from "./result.ts";
import { tokenSigner } from "./token.ts";
import { upgradeRequest } from "./upgrade-request.ts";

const OPENING_AT_ONCE = 50;
const PATIENCE_MS = 30_000;
/** Two nodes hear an event milliseconds apart: what the next one had sent before it was subscribed, the old one may yet send. */
const LINGER_MS = 1_000;
/** After a refusal, with as much again at random. */
const RETRY_MS = 500;

interface Frame {
  type: string;
  node?: string;
  reconnect_in?: number;
}

/** One user: usually with one connection, with two while it moves. */
interface Client {
  readonly index: number;
  readonly channel: number;
  readonly token: string;
  cookie: string | null;
  current: Connection | null;
  next: Connection | null;
  /** Will open its next connection. */
  moving: boolean;
  /** Which events of its channel it got, on whatever connection. */
  readonly seen: Uint8Array;
}

type Told = Pick<RestartResult, "moves" | "expected" | "lost" | "twice" | "cut" | "refused">;

/** Clients that obey `closing`: wait, open the next connection, subscribe there, drop the old one a moment later. */
export class Movers implements ConnectionEvents {
  readonly #job: RestartJob;
  readonly #clients: Client[];
  readonly #nodes = new WeakMap<Connection, string>();
  readonly #onEvent: (number: number, nowMs: number) => void;
  readonly #moves: Record<string, number[]> = {};
  readonly #cut: string[] = [];
  readonly #refused: string[] = [];
  #twice = 0;
  #over = false;

  /** @param most events that will be published @param onEvent told of each event of each client once */
  constructor(job: RestartJob, most: number, onEvent: (number: number, nowMs: number) => void) {
    const sign = tokenSigner(job.target.secret ?? "");
    this.#job = job;
    this.#onEvent = onEvent;
    this.#clients = Array.from({ length: job.sockets }, (_, index) => ({
      index,
      channel: index % job.channels,
      token: sign(index),
      cookie: null,
      current: null,
      next: null,
      moving: false,
      seen: new Uint8Array(Math.ceil(most / job.channels)),
    }));
  }

  async open(): Promise<void> {
    for (const client of this.#clients) {
      this.#open(client, false);
      if (client.index % OPENING_AT_ONCE === 0) await sleep(10);
    }
    const deadline = performance.now() + PATIENCE_MS;
    while (this.#clients.some(({ current }) => current === null)) {
      if (performance.now() > deadline) throw new Error(`not all are subscribed: ${this.#refused[0]}`);
      await sleep(20);
    }
  }

  drop(): void {
    this.#over = true;
    for (const { current, next } of this.#clients) {
      current?.drop();
      next?.drop();
    }
  }

  /** @param published how many events were, round the channels, all of them while everybody was subscribed */
  result(published: number): Told {
    let [expected, received] = [0, 0];
    for (const { channel, seen } of this.#clients) {
      expected += Math.max(0, Math.ceil((published - channel) / this.#job.channels));
      received += seen.reduce((sum, one) => sum + one, 0);
    }
    return {
      expected,
      lost: expected - received,
      twice: this.#twice,
      moves: this.#moves,
      cut: this.#cut,
      refused: this.#refused,
    };
  }

  onOpen(connection: Connection, head: string): void {
    const client = this.#clientOf(connection);
    client.cookie = /^set-cookie: ([^;\r]*)/im.exec(head)?.[1] ?? client.cookie;
  }

  onText(connection: Connection, buffer: Buffer, start: number, length: number, nowMs: number): void {
    const client = this.#clientOf(connection);
    const at = findNumber(buffer, start, length);
    if (at < 0) {
      this.#onControl(client, connection, JSON.parse(buffer.toString("utf8", start, start + length)));
      return;
    }
    const number = readNumber(buffer, start + at);
    const place = Math.floor((number - FIRST_NUMBER) / this.#job.channels);
    if (client.seen[place] === 1) this.#twice++;
    else {
      client.seen[place] = 1;
      this.#onEvent(number, nowMs);
    }
  }

  onEnd(connection: Connection, reason: string): void {
    const client = this.#clientOf(connection);
    connection.drop();
    if (client.current === connection) {
      client.current = null;
      this.#cut.push(`${this.#nodes.get(connection)}: ${reason}`);
    } else if (client.next === connection) {
      client.next = null;
      this.#refused.push(reason.split("\r\n", 1)[0] ?? reason);
    } else return; // the old one, which the node has closed
    if (client.next === null && !client.moving) this.#move(client, RETRY_MS * (1 + Math.random()), true);
  }

  #onControl(client: Client, connection: Connection, frame: Frame): void {
    if (frame.type === "welcome") this.#nodes.set(connection, frame.node ?? "");
    else if (frame.type === "subscribed" && connection === client.next) {
      const old = client.current;
      setTimeout(() => old?.drop(), LINGER_MS);
      client.current = connection;
      client.next = null;
    } else if (frame.type === "closing") {
      this.#move(client, frame.reconnect_in ?? 0, true, this.#nodes.get(connection));
    } else if (frame.type === "error") this.#refused.push(JSON.stringify(frame));
  }

  /** @param from the node that asked for it */
  #move(client: Client, waitMs: number, fresh: boolean, from?: string): void {
    client.moving = true;
    setTimeout(() => {
      client.moving = false;
      if (this.#over) return;
      if (from !== undefined) {
        this.#moves[from] ??= [];
        this.#moves[from].push(performance.now());
      }
      this.#open(client, fresh);
    }, waitMs);
  }

  #open(client: Client, fresh: boolean): void {
    const { cookie, token, channel, index } = client;
    const request = upgradeRequest([channelName(channel)], token, { fresh, cookie });
    client.next = new Connection(index, this.#job.target.port, request, this);
  }

  #clientOf(connection: Connection): Client {
    return this.#clients[connection.index] as Client;
  }
}
