import type { Checker } from "./checker.ts";
import { channelName, type Publication } from "./publication.ts";
import { retryDelay } from "./retry.ts";
import { NotPublished, type Way } from "./way.ts";

/** Of all publishers together. */
export class Published {
  /** Begun: tried at least once. */
  begun = 0;
  /** Not acknowledged in time, or refused. */
  givenUp = 0;
  /** Not even tried: too many attempts were under way, or this process was too busy. */
  heldBack = 0;
  /** Why attempts failed, the first few kinds of reasons. */
  readonly failures = new Map<string, number>();

  failed(why: string): void {
    const known = this.failures.get(why);
    if (known !== undefined || this.failures.size < MAX_FAILURES) this.failures.set(why, (known ?? 0) + 1);
  }
}

const MAX_FAILURES = 10;

export interface PublisherOptions {
  readonly run: string;
  readonly number: number;
  readonly channels: number;
  /** Events per second. */
  readonly rate: number;
  readonly maxRetryMs: number;
}

const TICK_MS = 20;
/** How long an event is tried for. The gateway knows the key of an earlier attempt for five minutes. */
const GIVE_UP_MS = 30_000;
const MAX_UNDER_WAY = 500;
/** How much of what this process was too busy to publish is made up for. */
const MAX_LAG_MS = 500;

/** Publishes numbered events at a rate, each until it is acknowledged or given up. */
export class Publisher {
  readonly #way: Way;
  readonly #checker: Checker;
  readonly #published: Published;
  readonly #options: PublisherOptions;
  #sequence = 0;
  #due = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #underWay = new Set<Promise<void>>();
  #stopped = false;

  constructor(way: Way, checker: Checker, published: Published, options: PublisherOptions) {
    this.#way = way;
    this.#checker = checker;
    this.#published = published;
    this.#options = options;
  }

  start(): void {
    let last = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#due += ((now - last) / 1000) * this.#options.rate;
      last = now;
      const most = Math.max(1, (this.#options.rate * MAX_LAG_MS) / 1000);
      if (this.#due > most) {
        this.#published.heldBack += Math.floor(this.#due - most);
        this.#due = most;
      }
      for (; this.#due >= 1; this.#due--) this.#begin();
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
    this.#way.stop();
    await Promise.all(this.#underWay);
  }

  #begin(): void {
    if (this.#underWay.size >= MAX_UNDER_WAY) {
      this.#published.heldBack++;
      return;
    }
    this.#published.begun++;
    const attempts = this.#publish(++this.#sequence).finally(() => this.#underWay.delete(attempts));
    this.#underWay.add(attempts);
  }

  async #publish(sequence: number): Promise<void> {
    const { run, number, channels, maxRetryMs } = this.#options;
    const at = performance.now();
    const publication: Publication = { run, publisher: number, sequence, at };
    const channel = channelName(run, (sequence + number) % channels);
    const event = { channel, data: JSON.stringify(publication), key: `${run}-${number}-${sequence}` };
    for (let failed = 0; ; failed++) {
      try {
        const id = await this.#way.publish(event);
        this.#checker.acknowledged(channel, id, event.data, performance.now());
        return;
      } catch (error) {
        this.#published.failed((error as Error).message);
        const temporary = error instanceof NotPublished && error.temporary;
        if (!temporary || this.#stopped || performance.now() - at > GIVE_UP_MS) break;
        await new Promise((resolve) => setTimeout(resolve, retryDelay(failed, maxRetryMs)));
      }
    }
    this.#published.givenUp++;
  }
}
