import type { Channel } from "../hub/channel.ts";
import type { Hub } from "../hub/hub.ts";
import type { Run } from "../hub/past.ts";
import { RequestError } from "../protocol/codes.ts";
import type { Start } from "../protocol/commands.ts";
import { type LossReason, lostFrame } from "../protocol/frames.ts";
import type { Position } from "../protocol/position.ts";
import type { Connection } from "./connection.ts";
import { CHUNK, Replay } from "./replay.ts";

/** Where a subscription begins. */
export interface Begun {
  /** Of the channel; undefined when it keeps no history. */
  readonly position: Position | undefined;
  /** Where the client is: what it gets goes on from here. */
  readonly at: Position | undefined;
  /** After `since` or `last`: how many events follow that were published before, or why none do. */
  readonly missed?: number;
  readonly lost?: LossReason;
}

/** As a client is told. */
export function resumedMembers({ missed, lost }: Begun): {
  resumed?: boolean;
  missed?: number;
  reason?: LossReason;
} {
  if (lost) return { resumed: false, reason: lost };
  return missed === undefined ? {} : { resumed: true, missed };
}

/** Hears what a session is subscribed to. */
export interface SubscriptionListener {
  /** In front of the first event. */
  subscribed(channel: string): void;
  /** @param goodbye the client said so, and was not cut off */
  unsubscribed(channel: string, goodbye: boolean): void;
}

/** What one session listens to. The events themselves go from the hub to its connection, past the session. */
export class Subscriptions {
  readonly #hub: Hub;
  readonly #connection: Connection;
  /** 0: no limit. */
  readonly #limit: number;
  readonly #listener: SubscriptionListener | undefined;
  readonly #names = new Set<string>();
  /** Under way at the backplane: counted, so that pipelined ones cannot pass the limit together. */
  #joining: Set<string> | undefined;
  /** Those that have not reached the newest event yet. */
  #replays: Map<string, Replay> | undefined;
  #over = false;

  constructor(hub: Hub, connection: Connection, limit: number, listener?: SubscriptionListener) {
    this.#hub = hub;
    this.#connection = connection;
    this.#limit = limit;
    this.#listener = listener;
  }

  /** The channel of a session that has exactly one, be it on its way. */
  get only(): string | undefined {
    if (this.#size !== 1) return undefined;
    const [name] = this.#joining ?? this.#names;
    return name;
  }

  get #size(): number {
    return this.#names.size + (this.#joining?.size ?? 0);
  }

  /**
   * Subscribes, and calls `confirm` right before the first event can come; at once when it is subscribed already.
   * @param authorise throws when it may not; asked again after the wait, since the token may be another by then
   * @throws {RequestError} too_many_channels, backplane_unavailable
   */
  async add(
    channel: string,
    start: Start | undefined,
    authorise: () => void,
    confirm: (begun: Begun) => void,
  ): Promise<void> {
    authorise();
    if (this.#names.has(channel)) return this.#confirmAgain(channel, start, confirm);
    if (this.#limit > 0 && this.#size >= this.#limit) {
      throw new RequestError("too_many_channels", `the limit is ${this.#limit}`, { channel });
    }
    const joined = await this.#join(channel, start);
    // The hub's copy of the name is kept: this one was cut out of a frame or URL, which it would keep alive.
    const { name } = joined.channel;
    try {
      if (this.#over) return this.#hub.unsubscribe(name);
      authorise();
    } catch (error) {
      this.#hub.unsubscribe(name);
      throw error;
    }
    this.#names.add(name);
    this.#listener?.subscribed(name);
    this.#begin(joined, confirm);
  }

  async #join(name: string, start: Start | undefined): Promise<Joined> {
    this.#joining ??= new Set();
    this.#joining.add(name);
    try {
      const channel = await this.#hub.subscribe(name);
      if (!start) return { channel };
      try {
        return { channel, from: await from(channel, start) };
      } catch (error) {
        this.#hub.unsubscribe(channel.name);
        throw error;
      }
    } finally {
      this.#joining.delete(name);
      if (this.#joining.size === 0) this.#joining = undefined;
    }
  }

  /** All in one turn of the event loop: nothing is published between what is said here and what is heard from here on. */
  #begin({ channel, from }: Joined, confirm: (begun: Begun) => void): void {
    const { name, position } = channel;
    if (!from?.since || from.run.lost || !position) {
      confirm({ position, at: position, ...(from && { lost: from.run.lost ?? "no_history" }) });
      return this.#connection.join(name);
    }
    confirm({ position, at: from.since, missed: position.offset - from.since.offset });
    const replay = new Replay(channel, this.#connection, from.since, {
      caughtUp: () => {
        this.#forgetReplay(name);
        this.#connection.join(name);
      },
      lost: (reason) => {
        this.#forgetReplay(name);
        this.#connection.send(lostFrame(name, channel.position, reason));
        this.#connection.join(name);
      },
    });
    this.#replays ??= new Map();
    this.#replays.set(name, replay);
    replay.start(from.run);
  }

  async #confirmAgain(
    name: string,
    start: Start | undefined,
    confirm: (begun: Begun) => void,
  ): Promise<void> {
    const { position } = await this.#hub.subscribe(name);
    this.#hub.unsubscribe(name);
    confirm({ position, at: position, ...(start && { lost: "subscribed" }) });
  }

  #forgetReplay(name: string): void {
    this.#replays?.delete(name);
    if (this.#replays?.size === 0) this.#replays = undefined;
  }

  /** No event of the channel reaches the connection any more. */
  remove(channel: string, goodbye = true): void {
    if (!this.#names.delete(channel)) return;
    this.#replays?.get(channel)?.stop();
    this.#forgetReplay(channel);
    this.#connection.leave(channel);
    this.#hub.unsubscribe(channel);
    this.#listener?.unsubscribed(channel, goodbye);
  }

  /** Removes all, for good. */
  end(goodbye = false): void {
    this.#over = true;
    for (const name of this.#names) this.remove(name, goodbye);
  }

  [Symbol.iterator](): Iterator<string> {
    return this.#names.values();
  }
}

interface Joined {
  readonly channel: Channel;
  /** Undefined: from now on. */
  readonly from?: From;
}

/** Undefined `since`: the channel keeps no history, or `run` says what is wrong. */
interface From {
  readonly since: Position | undefined;
  readonly run: Run;
}

/** @throws {RequestError} backplane_unavailable */
async function from(channel: Channel, start: Start): Promise<From> {
  if ("mark" in start) {
    const located = await channel.past.locate(start.mark);
    if ("lost" in located) return { since: undefined, run: located };
    return behind(channel, located.position);
  }
  return behind(channel, "since" in start ? start.since : await channel.past.back(start.last));
}

async function behind(channel: Channel, since: Position | undefined): Promise<From> {
  return {
    since,
    run: since ? await channel.past.after(since, CHUNK.events, CHUNK.bytes) : { lost: "no_history" },
  };
}
