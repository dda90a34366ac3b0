import { FIRST_NUMBER } from "./events.ts";

/** What each client has got of the events of its channel, over all its connections; event i is of channel i modulo their number. */
export class Ledger {
  duplicated = 0;
  /** Deliveries that were passed over: a later event came first. */
  skipped = 0;
  readonly #channels: number;
  /** Of the event that each client should get next. */
  readonly #next: number[];
  /** The ids of all events; every client of a channel is told the same. */
  readonly #ids: string[] = [];

  constructor(clients: number, channels: number) {
    this.#channels = channels;
    this.#next = Array.from({ length: clients }, (_, client) => FIRST_NUMBER + (client % channels));
  }

  /** @param readId called when the event's id is not known yet @returns whether the client had not got it before */
  note(client: number, number: number, readId: () => string): boolean {
    this.#ids[number - FIRST_NUMBER] ??= readId();
    const next = this.#next[client] as number;
    if (number < next) {
      this.duplicated++;
      return false;
    }
    this.skipped += (number - next) / this.#channels;
    this.#next[client] = number + this.#channels;
    return true;
  }

  /** The id of the last event that a client has got; undefined before the first. */
  lastId(client: number): string | undefined {
    return this.#ids[(this.#next[client] as number) - this.#channels - FIRST_NUMBER];
  }

  /** Deliveries of the first `published` events that may still come, of all clients together. */
  outstanding(published: number): number {
    const end = FIRST_NUMBER + published;
    const coming = (next: number): number => Math.max(0, Math.ceil((end - next) / this.#channels));
    return this.#next.reduce((sum, next) => sum + coming(next), 0);
  }

  /** Deliveries that so many events make. */
  expected(published: number): number {
    return this.#next.reduce((sum, _, client) => {
      return sum + Math.max(0, Math.ceil((published - (client % this.#channels)) / this.#channels));
    }, 0);
  }
}
