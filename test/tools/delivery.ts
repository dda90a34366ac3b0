import type { Checker } from "../../src/verify/checker.ts";
import type { Claim } from "../../src/verify/claim.ts";
import type { Received, Subscribed, Subscription } from "../../src/verify/subscription.ts";

/*
 * A channel that keeps its promises, as simple as can be: a list of events, and for each connection a queue of frames
 * on their way. It tells the checker what clients see and what publishers are answered. Faults are for the tests to put in.
 */

export type Frame = { readonly subscribed: Subscribed } | { readonly event: Received };

interface Event {
  readonly epoch: string;
  readonly check: string;
  readonly offset: number;
  readonly data: string;
}

const idOf = ({ epoch, check, offset }: Omit<Event, "data">) => `${epoch}-${check}:${offset}`;

export class Wire {
  readonly queue: Frame[] = [];
  readonly stream: Subscription;
  constructor(stream: Subscription) {
    this.stream = stream;
  }
}

export class Client {
  readonly claim: Claim;
  /** One, or two while it moves. */
  wires: Wire[] = [];
  constructor(claim: Claim) {
    this.claim = claim;
  }
}

export class Delivery {
  now = 1_000;
  readonly checker: Checker;
  readonly clients: Client[];
  readonly #channel = "c";
  #epoch = 1;
  #checks = 0;
  #log: Event[] = [];
  #published = 0;
  #unacknowledged: Event[] = [];

  constructor(checker: Checker, clients: number) {
    this.checker = checker;
    this.clients = Array.from({ length: clients }, () => new Client(checker.claim(this.#channel)));
  }

  get head(): string {
    return this.#headId();
  }

  tick(ms = 1): number {
    this.now += ms;
    return this.now;
  }

  /** @param acknowledge at once, later, or never */
  publish(acknowledge: "now" | "later" | "never" = "now", data = `"${++this.#published}"`): Event {
    const offset = this.#offset() + 1;
    const event = { epoch: `e${this.#epoch}`, check: `x${++this.#checks}`, offset, data };
    this.#log.push(event);
    for (const { wires } of this.clients)
      for (const wire of wires) wire.queue.push({ event: this.#frameOf(event) });
    if (acknowledge === "now") this.acknowledge(event);
    if (acknowledge === "later") this.#unacknowledged.push(event);
    return event;
  }

  acknowledge(event: Event): void {
    this.checker.acknowledged(this.#channel, idOf(event), event.data, this.tick());
  }

  acknowledgeAll(): void {
    for (const event of this.#unacknowledged.splice(0)) this.acknowledge(event);
  }

  /** A further connection, which resumes. @param answer what is wrong with the answer @param omit how many missed events are left out */
  connect(client: Client, answer: Partial<Subscribed> = {}, omit = 0): Wire {
    const wire = new Wire(this.checker.stream(client.claim));
    const { position } = client.claim;
    const since = position && this.#log.find((event) => idOf(event) === idOf(position));
    const known =
      since ?? (position?.offset === 0 && position.epoch === `e${this.#epoch}` ? "start" : undefined);
    const subscribed = { id: this.#headId(), ...answer };
    if (!position) wire.queue.push({ subscribed });
    else if (known === undefined)
      wire.queue.push({ subscribed: { resumed: false, reason: "history_lost", ...subscribed } });
    else {
      wire.queue.push({ subscribed: { resumed: true, ...subscribed } });
      const missed = this.#log.filter(({ offset }) => offset > position.offset).slice(omit);
      for (const event of missed) wire.queue.push({ event: this.#frameOf(event) });
    }
    client.wires.push(wire);
    return wire;
  }

  cut(client: Client, wire = client.wires[0]): void {
    if (!wire) return;
    wire.stream.end(this.tick());
    client.wires = client.wires.filter((one) => one !== wire);
  }

  /** Up to so many frames arrive. */
  flow(wire: Wire, count = Number.POSITIVE_INFINITY): void {
    for (const frame of wire.queue.splice(0, count)) {
      const at = this.tick();
      if ("event" in frame) wire.stream.event(frame.event, at);
      else wire.stream.subscribed(frame.subscribed, at);
    }
  }

  flowAll(): void {
    for (const { wires } of this.clients) for (const wire of wires) this.flow(wire);
  }

  /** Redis goes back by some events; whoever is connected is told. */
  fork(by: number, tell: readonly Client[] = this.clients): void {
    this.#log = this.#log.slice(0, Math.max(0, this.#log.length - by));
    this.#tell("forked", tell);
  }

  /** Redis loses everything. */
  lose(tell: readonly Client[] = this.clients): void {
    this.#log = [];
    this.#epoch++;
    this.#tell("history_lost", tell);
  }

  #tell(reason: string, clients: readonly Client[]): void {
    for (const { wires } of clients)
      for (const wire of wires)
        wire.queue.push({ subscribed: { id: this.#headId(), resumed: false, reason } });
  }

  #offset(): number {
    return this.#log.at(-1)?.offset ?? 0;
  }

  #headId(): string {
    const last = this.#log.at(-1);
    return last ? idOf(last) : `e${this.#epoch}-x:0`;
  }

  #frameOf(event: Event): Received {
    return { id: idOf(event), data: event.data, sentAt: this.now };
  }
}
