import type { Channel, Follower } from "../hub/channel.ts";
import type { EncodedEvent } from "../hub/encoded-event.ts";
import type { Run } from "../hub/past.ts";
import type { LossReason } from "../protocol/frames.ts";
import { type Position, samePosition } from "../protocol/position.ts";
import type { Connection } from "./connection.ts";

/** What is written at once. */
export const CHUNK = { events: 100, bytes: 64 * 1024 };
/** Queued for a client that is not behind: more waits here. */
const HIGH_WATER_BYTES = 64 * 1024;
/** A client that takes nothing for so long is slow. */
const STALL_MS = 10_000;

/** How a replay ends, unless it is stopped. */
export interface ReplayEnd {
  /** The next event of the channel is the first that it did not get. */
  caughtUp(): void;
  /** What comes next can no longer be had. */
  lost(reason: LossReason): void;
}

/**
 * One subscriber's way from a position to the newest event, at the pace of its connection. It stands beside those who
 * get events as they come, and is one of them from `caughtUp` on.
 */
export class Replay implements Follower {
  readonly #channel: Channel;
  readonly #connection: Connection;
  readonly #end: ReplayEnd;
  #at: Position;
  #stopped = false;
  #hasMissed = false;

  constructor(channel: Channel, connection: Connection, since: Position, end: ReplayEnd) {
    this.#channel = channel;
    this.#connection = connection;
    this.#at = since;
    this.#end = end;
  }

  /** @param run what follows the position. A short way ends before this returns. */
  start(run: Run): void {
    this.#channel.followers.add(this);
    const first = this.#hasRoom || run.lost ? run : { events: [] };
    this.#run(first).catch(() => this.#finish(() => this.#end.lost("slow_backplane")));
  }

  stop(): void {
    this.#stopped = true;
    this.#channel.followers.delete(this);
  }

  passing(event: EncodedEvent): void {
    this.#connection.sendEvents([event]);
  }

  missed(): void {
    this.#hasMissed = true;
  }

  async #run(first: Run): Promise<void> {
    for (let run = first; !this.#stopped; run = await this.#next()) {
      if (run.lost) {
        const { lost } = run;
        return this.#finish(() => this.#end.lost(lost));
      }
      const last = run.events.at(-1)?.position;
      if (last) {
        this.#connection.sendEvents(run.events);
        this.#at = last;
      }
      // Nothing can come in between: this turn of the event loop has the channel to itself.
      const { position } = this.#channel;
      if (position && samePosition(this.#at, position)) return this.#finish(() => this.#arrive());
    }
  }

  /** What was kept it has got; what was not may be missing, as for all others. */
  #arrive(): void {
    if (this.#hasMissed) this.#end.lost("history_lost");
    else this.#end.caughtUp();
  }

  #finish(end: () => void): void {
    if (this.#stopped) return;
    this.stop();
    end();
  }

  async #next(): Promise<Run> {
    await this.#room();
    return await this.#channel.past.after(this.#at, CHUNK.events, CHUNK.bytes);
  }

  get #hasRoom(): boolean {
    return this.#connection.queuedBytes <= HIGH_WATER_BYTES;
  }

  /** Resolves when the client has taken what it was sent; one that takes nothing is closed. */
  async #room(): Promise<void> {
    while (!this.#stopped && !this.#hasRoom) {
      const queued = this.#connection.queuedBytes;
      const drained = await this.#connection.drained(STALL_MS);
      if (!drained && this.#connection.queuedBytes >= queued) this.#connection.close("slow");
    }
  }
}
