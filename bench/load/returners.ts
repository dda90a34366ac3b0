import { setTimeout as sleep } from "node:timers/promises";
import { Connection, type ConnectionEvents } from "./connection.ts";
import { channelName, findNumber, hasNumberAt, readId, readNumber } from "./events.ts";
import type { Target } from "./job.ts";
import { Ledger } from "./ledger.ts";
import type { Returned } from "./result.ts";
import { tokenSigner } from "./token.ts";
import { upgradeRequest } from "./upgrade-request.ts";

const STEP_MS = 5;
const PATIENCE_MS = 60_000;
/** Two nodes hear an event milliseconds apart: the old connection may get it later than the next. */
const LINGER_MS = 1_000;
/** What comes after a temporary error, with as much again at random. */
const RETRY_MS = 1_000;

interface Frame {
  type: string;
  id?: string;
  resumed?: boolean;
  missed?: number;
  temporary?: boolean;
  reconnect?: { min: number; max: number };
  reconnect_in?: number;
}

/** One user, over all its connections. */
interface Client {
  readonly index: number;
  readonly channel: number;
  readonly request: Buffer;
  /** The one that is subscribed. */
  current: Connection | null;
  /** The one that is to be, and the index of its node. */
  next: Connection | null;
  node: number;
  /** Until it opens the next one. */
  timer: NodeJS.Timeout | undefined;
  /** When it was left without a connection. */
  cutAtMs: number | null;
  /** Where the channel stood when it first subscribed. */
  position: string | undefined;
}

type Told = Omit<
  Returned,
  "expected" | "lost" | "p50Ms" | "p99Ms" | "maxMs" | "generatorBusy" | "foreignBusy" | "lagP99Ms"
>;

interface Plan {
  nodes: Target[];
  sockets: number;
  channels: number;
  /** Told of each event of each client once, in the hot path. */
  onEvent: (number: number, nowMs: number) => void;
  /** Told of each client that is subscribed, for the first time or again. */
  onSubscribed?: (client: number) => void;
}

/**
 * Clients that keep to the protocol whatever happens to them: cut off, each comes back at random within the window that
 * `welcome` named, with the last id that it has; told `closing`, it has its next connection before it drops the old one.
 */
export class Returners implements ConnectionEvents {
  readonly ledger: Ledger;
  readonly #plan: Plan;
  readonly #clients: Client[];
  /** Nodes that a balancer would send nobody to. */
  readonly #avoided = new Set<number>();
  readonly #backMs: number[] = [];
  #window = { min: 500, max: 2_000 };
  #resumed = 0;
  #notResumed = 0;
  #notResumedFor: string | null = null;
  #cuts = 0;
  readonly #endedBy: Record<string, number> = {};
  #moves = 0;
  #refused = 0;
  #failed = 0;
  #postponed = 0;
  #complaint: string | null = null;
  #over = false;

  constructor(plan: Plan) {
    const sign = tokenSigner(plan.nodes[0]?.secret ?? "");
    this.#plan = plan;
    this.ledger = new Ledger(plan.sockets, plan.channels);
    this.#clients = Array.from({ length: plan.sockets }, (_, index) => ({
      index,
      channel: index % plan.channels,
      request: upgradeRequest([], sign(index)),
      current: null,
      next: null,
      node: 0,
      timer: undefined,
      cutAtMs: null,
      position: undefined,
    }));
  }

  /** @param nodeOf the node of each client, as an index */
  async fill(perSecond: number, nodeOf: (client: number) => number): Promise<void> {
    const startMs = performance.now();
    for (let index = 0; index < this.#clients.length; ) {
      const due = Math.min(((performance.now() - startMs) * perSecond) / 1000, this.#clients.length);
      for (; index < due; index++) this.#open(this.#clients[index] as Client, nodeOf(index));
      await sleep(STEP_MS);
    }
    if (!(await this.untilBack(PATIENCE_MS))) throw new Error(`${this.#away} are not subscribed`);
  }

  /** Nobody opens a connection to this node any more. */
  avoid(node: number): void {
    this.#avoided.add(node);
  }

  /** Resets a client's connection; it comes back to the next node after so long, whatever `welcome` said. */
  cut(index: number, awayMs: number): void {
    const client = this.#clients[index] as Client;
    client.next?.drop();
    client.next = null;
    client.current?.drop();
    this.#cutOff(client, awayMs);
  }

  /** Waits, but not for ever, until everybody is subscribed. @returns whether they are */
  untilBack(patienceMs: number): Promise<boolean> {
    return this.#until(() => this.#away === 0, patienceMs);
  }

  /** Waits, but not for ever, until nothing of the first `published` events is outstanding. */
  async untilUpTo(published: number, patienceMs: number): Promise<void> {
    await this.#until(() => this.ledger.outstanding(published) === 0, patienceMs);
  }

  drop(): void {
    this.#over = true;
    for (const { current, next } of this.#clients) {
      current?.drop();
      next?.drop();
    }
  }

  get result(): Told {
    const sorted = this.#backMs.toSorted((a, b) => a - b);
    const percentile = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
    return {
      duplicated: this.ledger.duplicated,
      resumed: this.#resumed,
      notResumed: this.#notResumed,
      notResumedFor: this.#notResumedFor,
      cuts: this.#cuts,
      endedBy: this.#endedBy,
      moves: this.#moves,
      notBack: this.#away,
      backP50Ms: percentile(0.5),
      backP95Ms: percentile(0.95),
      backMaxMs: percentile(1),
      refused: this.#refused,
      failed: this.#failed,
      postponed: this.#postponed,
    };
  }

  onOpen(connection: Connection): void {
    this.#subscribe(connection);
  }

  onText(connection: Connection, buffer: Buffer, start: number, length: number, nowMs: number): void {
    if (!connection.open) return;
    if (!hasNumberAt(buffer, start + connection.numberAt)) {
      const at = findNumber(buffer, start, length);
      if (at < 0) return this.#onControl(connection, buffer.toString("utf8", start, start + length), nowMs);
      connection.numberAt = at;
    }
    const number = readNumber(buffer, start + connection.numberAt);
    if (this.ledger.note(connection.index, number, () => readId(buffer, start, length)))
      this.#plan.onEvent(number, nowMs);
  }

  onEnd(connection: Connection, reason: string): void {
    connection.drop();
    const client = this.#clientOf(connection);
    if (client.current === connection) {
      this.#endedBy[reason] = (this.#endedBy[reason] ?? 0) + 1;
      this.#cutOff(client, this.#backoffMs());
    } else if (client.next === connection) {
      client.next = null;
      if (/^refused: HTTP\/1.1 (429|503)/.test(reason)) this.#refused++;
      else if (reason.startsWith("refused")) this.#complaint ??= reason;
      else this.#failed++;
      this.#openIn(client, this.#backoffMs());
    }
  }

  #onControl(connection: Connection, text: string, nowMs: number): void {
    const frame = JSON.parse(text) as Frame;
    const client = this.#clientOf(connection);
    if (frame.type === "welcome") this.#window = frame.reconnect ?? this.#window;
    else if (frame.type === "closing") this.#openIn(client, frame.reconnect_in ?? 0);
    else if (frame.type === "error" && frame.temporary === true) {
      this.#postponed++;
      setTimeout(() => connection.open && this.#subscribe(connection), RETRY_MS * (1 + Math.random()));
    } else if (frame.type === "error") this.#complaint ??= text;
    if (frame.type !== "subscribed") return;
    if (frame.resumed === false) {
      this.#notResumed++;
      this.#notResumedFor ??= text;
    }
    if (connection !== client.next) return; // the channel was lost later on
    client.position ??= frame.id;
    this.#resumed += frame.missed ?? 0;
    this.#welcomeBack(client, nowMs);
  }

  #welcomeBack(client: Client, nowMs: number): void {
    const old = client.current;
    if (client.cutAtMs !== null) this.#backMs.push(nowMs - client.cutAtMs);
    else if (old !== null) {
      this.#moves++;
      this.#backMs.push(0);
      setTimeout(() => old.drop(), LINGER_MS);
    }
    client.current = client.next;
    client.next = null;
    client.cutAtMs = null;
    clearTimeout(client.timer);
    this.#plan.onSubscribed?.(client.index);
  }

  #cutOff(client: Client, awayMs: number): void {
    if (client.cutAtMs === null) this.#cuts++;
    client.cutAtMs ??= performance.now();
    client.current = null;
    this.#openIn(client, awayMs);
  }

  #openIn(client: Client, waitMs: number): void {
    clearTimeout(client.timer);
    client.timer = setTimeout(() => {
      if (!this.#over && client.next === null) this.#open(client, client.node + 1);
    }, waitMs);
  }

  /** @param from the first node that will do, as an index round the nodes */
  #open(client: Client, from: number): void {
    const { nodes } = this.#plan;
    let node = from % nodes.length;
    while (this.#avoided.has(node)) node = (node + 1) % nodes.length;
    client.node = node;
    client.next = new Connection(client.index, (nodes[node] as Target).port, client.request, this);
  }

  #subscribe(connection: Connection): void {
    const { index, channel, position } = this.#clientOf(connection);
    const since = this.ledger.lastId(index) ?? position;
    connection.send(JSON.stringify({ type: "subscribe", ref: 1, channel: channelName(channel), since }));
  }

  #backoffMs(): number {
    const { min, max } = this.#window;
    return min + Math.random() * (max - min);
  }

  #clientOf({ index }: Connection): Client {
    return this.#clients[index] as Client;
  }

  get #away(): number {
    return this.#clients.reduce((sum, { current }) => sum + (current === null ? 1 : 0), 0);
  }

  async #until(isSo: () => boolean, patienceMs: number): Promise<boolean> {
    const deadline = performance.now() + patienceMs;
    while (!isSo()) {
      if (this.#complaint !== null) throw new Error(this.#complaint);
      if (performance.now() > deadline) return false;
      await sleep(STEP_MS);
    }
    return true;
  }
}
