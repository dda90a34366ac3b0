import { setTimeout as sleep } from "node:timers/promises";
import { Connection, type ConnectionEvents } from "./connection.ts";
import { channelName, findNumber, hasNumberAt, readId, readNumber } from "./events.ts";
import type { ResumeStormJob, Target } from "./job.ts";
import { Latencies } from "./latencies.ts";
import { Ledger } from "./ledger.ts";
import type { ResumeStormResult } from "./result.ts";
import { tokenSigner } from "./token.ts";
import { upgradeRequest } from "./upgrade-request.ts";

/** A third of what one node accepts by default: the crowd is there before the storm without having been one itself. */
const FILL_PER_SECOND = 667;
const STEP_MS = 5;
const PATIENCE_MS = 60_000;
/** What `Retry-After` of a refused handshake says, and after a temporary error; as much again at random. */
const RETRY_MS = 1_000;

interface Frame {
  type: string;
  resumed?: boolean;
  missed?: number;
  temporary?: boolean;
}

/** One user, over all its connections. */
interface Client {
  readonly channel: number;
  readonly request: Buffer;
  connection: Connection | null;
  /** When its last attempt to connect began. */
  triedMs: number;
  /** Missed events that are still to come. */
  behind: number;
}

type Told = Pick<
  ResumeStormResult,
  | "resumeP50Ms"
  | "resumeP99Ms"
  | "resumed"
  | "notResumed"
  | "notResumedFor"
  | "missedLeast"
  | "missedMean"
  | "missedMost"
  | "refused"
  | "failed"
  | "postponed"
>;

/** Clients that are cut off all at once, and resume on other nodes behind the last event that each of them has got. */
export class Resumers implements ConnectionEvents {
  readonly ledger: Ledger;
  readonly #channels: number;
  readonly #clients: Client[];
  readonly #onEvent: (nowMs: number) => void;
  readonly #resumeMs = new Latencies();
  readonly #missed: number[] = [];
  #nodes: Target[];
  #phase: "filling" | "listening" | "away" | "returning" = "filling";
  #subscribed = 0;
  #caughtUp = 0;
  #notResumed = 0;
  #notResumedFor: string | null = null;
  #refused = 0;
  #failed = 0;
  #postponed = 0;
  #complaint: string | null = null;

  /** @param onEvent told of every event, in the hot path */
  constructor({ nodes, sockets, channels }: ResumeStormJob, onEvent: (nowMs: number) => void) {
    const sign = tokenSigner(nodes[0]?.secret ?? "");
    this.ledger = new Ledger(sockets, channels);
    this.#nodes = nodes;
    this.#channels = channels;
    this.#onEvent = onEvent;
    this.#clients = Array.from({ length: sockets }, (_, index) => ({
      channel: index % channels,
      request: upgradeRequest([], sign(index)),
      connection: null,
      triedMs: 0,
      behind: 0,
    }));
  }

  async fill(): Promise<void> {
    await this.#openAll(FILL_PER_SECOND);
    this.#phase = "listening";
  }

  /** Drops those that have not lost their connection by themselves. */
  cutOff(): void {
    this.#phase = "away";
    for (const client of this.#clients) {
      client.connection?.drop();
      client.connection = null;
    }
  }

  /** Resolves when all have what they had missed at their `subscribed`. @returns when the last `subscribed` came */
  async comeBack(nodes: Target[], attemptsPerSecond: number): Promise<number> {
    this.#phase = "returning";
    this.#nodes = nodes;
    this.#subscribed = 0;
    await this.#openAll(attemptsPerSecond);
    const subscribedAtMs = performance.now();
    await this.#untilAll(() => this.#caughtUp, "have what they missed");
    this.#phase = "listening";
    return subscribedAtMs;
  }

  /** Waits, but not for ever, until nothing of the first `published` events is outstanding. */
  async untilUpTo(published: number, patienceMs: number): Promise<void> {
    const deadline = performance.now() + patienceMs;
    while (this.ledger.outstanding(published) > 0 && performance.now() < deadline) await sleep(STEP_MS);
    if (this.#complaint !== null) throw new Error(this.#complaint);
  }

  get result(): Told {
    const missed = this.#missed;
    return {
      resumeP50Ms: this.#resumeMs.percentile(0.5),
      resumeP99Ms: this.#resumeMs.percentile(0.99),
      resumed: missed.length,
      notResumed: this.#notResumed,
      notResumedFor: this.#notResumedFor,
      missedLeast: missed.length === 0 ? 0 : Math.min(...missed),
      missedMean: missed.reduce((sum, one) => sum + one, 0) / Math.max(1, missed.length),
      missedMost: Math.max(0, ...missed),
      refused: this.#refused,
      failed: this.#failed,
      postponed: this.#postponed,
    };
  }

  onOpen(connection: Connection): void {
    this.#subscribe(connection);
  }

  onText(connection: Connection, buffer: Buffer, start: number, length: number, nowMs: number): void {
    if (!hasNumberAt(buffer, start + connection.numberAt)) {
      const at = findNumber(buffer, start, length);
      if (at < 0) {
        this.#onControl(connection, buffer.toString("utf8", start, start + length), nowMs);
        return;
      }
      connection.numberAt = at;
    }
    const number = readNumber(buffer, start + connection.numberAt);
    this.ledger.note(connection.index, number, () => readId(buffer, start, length));
    const client = this.#clientOf(connection);
    if (client.behind > 0 && --client.behind === 0) this.#catchUp(client, nowMs);
    this.#onEvent(nowMs);
  }

  onEnd(connection: Connection, reason: string): void {
    connection.drop();
    if (this.#phase === "away") return;
    if (this.#phase !== "returning" || connection.subscribed > 0) {
      this.#complaint ??= `a connection ended: ${reason}`;
      return;
    }
    if (reason.startsWith("refused: HTTP/1.1 429")) this.#refused++;
    else if (reason.startsWith("refused")) this.#complaint ??= reason;
    else this.#failed++;
    setTimeout(() => this.#open(connection.index), RETRY_MS * (1 + Math.random()));
  }

  #subscribe(connection: Connection): void {
    const { index } = connection;
    const channel = channelName(this.#clientOf(connection).channel);
    const since = this.#phase === "returning" ? this.ledger.lastId(index) : undefined;
    connection.send(JSON.stringify({ type: "subscribe", ref: 1, channel, since }));
  }

  #onControl(connection: Connection, text: string, nowMs: number): void {
    const frame = JSON.parse(text) as Frame;
    if (frame.type === "error" && frame.temporary === true) {
      this.#postponed++;
      setTimeout(() => connection.open && this.#subscribe(connection), RETRY_MS * (1 + Math.random()));
    } else if (frame.type === "error" || frame.type === "closing") this.#complaint ??= text;
    if (frame.type !== "subscribed") return;
    if (frame.resumed === false) {
      this.#notResumed++;
      this.#notResumedFor ??= text;
    }
    if (connection.subscribed++ > 0) return; // the channel was lost later on
    this.#subscribed++;
    if (this.#phase !== "returning") return;
    const client = this.#clientOf(connection);
    client.behind = frame.missed ?? 0;
    if (frame.resumed === true) this.#missed.push(client.behind);
    if (client.behind === 0) this.#catchUp(client, nowMs);
  }

  #catchUp({ triedMs }: Client, nowMs: number): void {
    this.#caughtUp++;
    this.#resumeMs.record(nowMs - triedMs);
  }

  async #openAll(perSecond: number): Promise<void> {
    const startMs = performance.now();
    for (let index = 0; index < this.#clients.length; ) {
      const due = ((performance.now() - startMs) * perSecond) / 1000;
      while (index < Math.min(due, this.#clients.length)) this.#open(index++);
      await sleep(STEP_MS);
    }
    await this.#untilAll(() => this.#subscribed, "are subscribed");
  }

  /** Each channel has its clients on all nodes. */
  #open(index: number): void {
    const client = this.#clients[index] as Client;
    const node = this.#nodes[Math.floor(index / this.#channels) % this.#nodes.length] as Target;
    client.triedMs = performance.now();
    client.connection = new Connection(index, node.port, client.request, this);
  }

  #clientOf({ index }: Connection): Client {
    return this.#clients[index] as Client;
  }

  async #untilAll(count: () => number, what: string): Promise<void> {
    const all = this.#clients.length;
    const deadline = performance.now() + PATIENCE_MS;
    while (count() < all) {
      if (this.#complaint !== null) throw new Error(this.#complaint);
      if (performance.now() > deadline)
        throw new Error(`${count()} of ${all} ${what} after ${PATIENCE_MS} ms`);
      await sleep(STEP_MS);
    }
  }
}
