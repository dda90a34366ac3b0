/** What waits for one client. */
export interface Queue {
  readonly queuedBytes: number;
  /** Ends the connection at once, with its queue. */
  cut(): void;
}

/** What the largest queues are cut to once all queues together are over their limit. */
const ROOM = 3 / 4;

/** The queues of all clients of this node, kept together within one limit. */
export class Queues {
  /** Bytes; 0: no limit. */
  readonly #max: number;
  readonly #sources: (() => Iterable<Queue>)[] = [];
  /** What was queued when the queues were measured, and all that was handed on since: what is queued is less. */
  #maybeQueued = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** @param queues of one transport, whenever they are asked for */
  include(queues: () => Iterable<Queue>): void {
    this.#sources.push(queues);
  }

  get bytes(): number {
    let sum = 0;
    for (const { queuedBytes } of this.#all()) sum += queuedBytes;
    return sum;
  }

  /**
   * Before so many bytes are handed on. The queues are measured only when so much was handed on since the last time that
   * they could be over the limit, were nothing sent meanwhile: on a node whose clients keep up, every few seconds of full
   * load. Then the longest go first, cut at once, since a queue that lingers is still memory.
   * @returns whether any was cut
   */
  handOn(bytes: number): boolean {
    this.#maybeQueued += bytes;
    if (this.#max === 0 || this.#maybeQueued <= this.#max) return false;
    const lengths = [...this.#all()]
      .map((queue) => ({ queue, bytes: queue.queuedBytes }))
      .filter((length) => length.bytes > 0)
      .sort((a, b) => b.bytes - a.bytes);
    let total = lengths.reduce((sum, length) => sum + length.bytes, 0);
    // What is coming is not judged: most of it goes straight out, also to those who have a little waiting.
    const over = total > this.#max;
    if (over) {
      for (const length of lengths) {
        if (total <= this.#max * ROOM) break;
        length.queue.cut();
        total -= length.bytes;
      }
    }
    this.#maybeQueued = total + bytes;
    return over;
  }

  *#all(): Iterable<Queue> {
    for (const queues of this.#sources) yield* queues();
  }
}
