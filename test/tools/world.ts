import { type EncodedEvent, encode } from "../../src/hub/encoded-event.ts";
import type { Feed, Page } from "../../src/hub/feed.ts";
import { RequestError } from "../../src/protocol/codes.ts";
import { formatId, type Position } from "../../src/protocol/position.ts";

export const CHANNEL = "chat";
const KEEPS = { size: 6, timeMs: 3_600_000 };

/** A Redis with one channel, and the wire from it: what it does, and when an answer comes, the test says. */
export class World {
  log: EncodedEvent[] = [];
  head: Position = { epoch: "e1", check: "start", offset: 0 };
  readonly wire: EncodedEvent[] = [];
  connected = true;
  readonly #questions: { ask(): void; fail(): void }[] = [];
  readonly #answers: (() => void)[] = [];
  #checks = 0;
  #epochs = 1;

  publish(): void {
    const position = {
      ...this.head,
      check: `c${++this.#checks}`,
      offset: this.head.offset + 1,
    };
    const head = {
      type: "message",
      channel: CHANNEL,
      id: formatId(position),
      timestamp: "2026-03-08T14:30:00Z",
    };
    const event = encode(head, "1", undefined, { position, previous: this.head.check });
    this.head = position;
    this.log.push(event);
    if (this.log.length > KEEPS.size) this.log.shift();
    if (this.connected) this.wire.push(event);
  }

  trim(count: number): void {
    this.log.splice(0, count);
  }

  /** A replica that had not heard of the last ones becomes the master. */
  goBack(count: number): void {
    const lost = this.log.splice(Math.max(0, this.log.length - count));
    const first = lost[0];
    if (first?.position)
      this.head = { ...first.position, offset: first.position.offset - 1, check: first.previous };
  }

  /** Somebody has heard of an event that is lost. */
  leaveOut(): Position {
    this.head = { ...this.head, check: `c${++this.#checks}`, offset: this.head.offset + 1 };
    return this.head;
  }

  loseAll(): void {
    this.log = [];
    this.head = { epoch: `e${++this.#epochs}`, check: "start", offset: 0 };
  }

  /** As a node asks it. */
  get feed(): Feed {
    return {
      subscribe: async () => {},
      unsubscribe: () => {},
      keeps: () => KEEPS,
      head: () => this.#question(() => this.head),
      fork: () => this.#question(() => this.leaveOut()),
      readAfter: (_channel, offset, limit) =>
        this.#question(() =>
          this.#page(
            this.log.filter(({ position }) => (position?.offset ?? 0) > offset),
            limit,
          ),
        ),
      readBefore: (_channel, offset, limit) =>
        this.#question(() =>
          this.#page(this.log.filter(({ position }) => (position?.offset ?? 0) < offset).reverse(), limit),
        ),
    };
  }

  #page(events: EncodedEvent[], limit: number): Page {
    return { head: this.head, events: events.slice(0, Math.min(limit, 3)) };
  }

  /** Redis looks at its data at one time, and the answer arrives at another. */
  #question<T>(look: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#questions.push({
        ask: () => {
          const found = look();
          this.#answers.push(() => resolve(found));
        },
        fail: () => reject(new RequestError("backplane_unavailable")),
      });
    });
  }

  look(): void {
    this.#questions.shift()?.ask();
  }

  fail(): void {
    this.#questions.shift()?.fail();
  }

  answer(): void {
    this.#answers.shift()?.();
  }

  get isAsked(): boolean {
    return this.#questions.length > 0 || this.#answers.length > 0;
  }
}
