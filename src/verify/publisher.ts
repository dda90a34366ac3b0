import { type Position, parseId } from "../protocol/position.ts";
import type { Checker } from "./checker.ts";
import { channelName, type Publication } from "./publication.ts";
import { retryDelay } from "./retry.ts";
import { Timers } from "./timers.ts";
import { NotPublished, type Outgoing, type Way } from "./way.ts";

/** Attempts that failed with one code. */
export interface Failure {
  times: number;
  /** What the first of them was told. */
  readonly message: string;
}

/** Of all publishers together. */
export class Published {
  /** Begun: tried at least once. */
  begun = 0;
  /** Not acknowledged in time, or refused. */
  givenUp = 0;
  /** Not even tried: too many attempts were under way, or this process was too busy. */
  heldBack = 0;
  /** Why attempts failed, by code. */
  readonly failures = new Map<string, Failure>();

  /** Codes that no retry mends. */
  readonly refusals = new Set<string>();

  failed({ code, message }: NotPublished): void {
    const known = this.failures.get(code);
    if (known) known.times++;
    else this.failures.set(code, { times: 1, message });
  }
}

export interface PublisherOptions {
  readonly run: string;
  readonly number: number;
  readonly channels: number;
  /** Events per second. */
  readonly rate: number;
  readonly maxRetryMs: number;
  /** Something that no retry mends, once for each code. */
  onRefused(why: string): void;
}

const TICK_MS = 20;
/** When the first are due, however low the rate is. */
const FIRST_AFTER_MS = 200;
/**
 * Events that are sent one behind the other, to one channel, before the first is answered: one connection's are published
 * in the order in which they were sent, and this is how anybody would see that they are not.
 */
const PIPELINED = 2;
/** How long an event is tried for. The gateway knows the key of an earlier attempt for five minutes. */
const GIVE_UP_MS = 30_000;
const MAX_UNDER_WAY = 500;
/** How much of what this process was too busy to publish is made up for. */
const MAX_LAG_MS = 500;

/** An event that was acknowledged at the first attempt. */
interface Placed {
  readonly line: object;
  readonly sequence: number;
  readonly position: Position;
  readonly sentAt: number;
  readonly ackedAt: number;
}

/** Publishes numbered events at a rate, each until it is acknowledged or given up. */
export class Publisher {
  readonly #way: Way;
  readonly #checker: Checker;
  readonly #published: Published;
  readonly #options: PublisherOptions;
  #sequence = 0;
  #due: number;
  #timer: NodeJS.Timeout | undefined;
  readonly #underWay = new Set<Promise<void>>();
  /** By channel, the newest. */
  readonly #placed = new Map<string, Placed>();
  readonly #waits = new Timers();
  #stopped = false;

  constructor(way: Way, checker: Checker, published: Published, options: PublisherOptions) {
    this.#way = way;
    this.#checker = checker;
    this.#published = published;
    this.#options = options;
    this.#due = Math.max(0, PIPELINED - (options.rate * FIRST_AFTER_MS) / 1000);
  }

  start(): void {
    let last = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#due += ((now - last) / 1000) * this.#options.rate;
      last = now;
      const most = Math.max(PIPELINED, (this.#options.rate * MAX_LAG_MS) / 1000);
      if (this.#due > most) {
        this.#published.heldBack += Math.floor(this.#due - most);
        this.#due = most;
      }
      for (; this.#due >= PIPELINED; this.#due -= PIPELINED) this.#begin();
    }, TICK_MS);
  }

  /** Begins no further event. */
  pause(): void {
    clearInterval(this.#timer);
  }

  get underWay(): number {
    return this.#underWay.size;
  }

  /** Gives up what is under way. */
  async stop(): Promise<void> {
    this.pause();
    this.#stopped = true;
    this.#waits.stop();
    this.#way.stop();
    await Promise.all(this.#underWay);
  }

  #begin(): void {
    if (this.#underWay.size + PIPELINED > MAX_UNDER_WAY) {
      this.#published.heldBack += PIPELINED;
      return;
    }
    for (let i = 0; i < PIPELINED; i++) {
      this.#published.begun++;
      const attempts = this.#publish(++this.#sequence).finally(() => this.#underWay.delete(attempts));
      this.#underWay.add(attempts);
    }
  }

  async #publish(sequence: number): Promise<void> {
    const { run, number, channels, maxRetryMs } = this.#options;
    const at = performance.now();
    const channel = channelName(run, (Math.floor((sequence - 1) / PIPELINED) + number) % channels);
    const publication: Publication = { run, channel, publisher: number, sequence, at };
    const event = { channel, data: JSON.stringify(publication), key: `${run}-${number}-${sequence}` };
    for (let failed = 0; ; failed++) {
      try {
        await this.#attempt(event, { sequence, sentAt: at, isFirst: failed === 0 });
        return;
      } catch (error) {
        if (!(error instanceof NotPublished)) throw error;
        this.#note(error);
        if (!error.temporary || this.#stopped || performance.now() - at > GIVE_UP_MS) break;
        await this.#waits.sleep(retryDelay(failed, maxRetryMs));
        if (this.#stopped) break;
      }
    }
    this.#published.givenUp++;
  }

  async #attempt(
    event: Outgoing,
    { sequence, sentAt, isFirst }: { sequence: number; sentAt: number; isFirst: boolean },
  ): Promise<void> {
    const { channel, data } = event;
    const { id, line } = await this.#way.publish(event);
    const ackedAt = performance.now();
    this.#checker.acknowledged(channel, id, data, ackedAt);
    const position = parseId(id);
    if (isFirst && line && position) this.#place(channel, { line, sequence, position, sentAt, ackedAt });
  }

  /**
   * Two that were under way on one connection at once stand in the order in which they were sent. Of two that were not, the
   * later one may stand before the other: Redis may have gone back in time between them, which is what clients are told.
   */
  #place(channel: string, event: Placed): void {
    const other = this.#placed.get(channel);
    if (!other || event.sequence > other.sequence) this.#placed.set(channel, event);
    if (!other || event.line !== other.line || event.position.epoch !== other.position.epoch) return;
    const isLater = event.sequence > other.sequence;
    if (isLater && event.sentAt >= other.ackedAt) return;
    if (isLater !== event.position.offset > other.position.offset) this.#checker.counts.reordered++;
  }

  #note(error: NotPublished): void {
    const { refusals } = this.#published;
    this.#published.failed(error);
    // A key stands for one event, and this is the event: it was taken for another.
    if (error.code === "key_reused") this.#checker.counts.conflicting++;
    else if (!error.temporary && !refusals.has(error.code)) {
      refusals.add(error.code);
      this.#options.onRefused(`cannot publish: ${error.message}`);
    }
  }
}
