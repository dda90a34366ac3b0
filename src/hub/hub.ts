import { Audience, type AudienceRegister } from "./audience.ts";
import { Channel } from "./channel.ts";
import type { ChannelContext, ContinuityCounts } from "./context.ts";
import type { Edge } from "./edge.ts";
import type { EncodedEvent } from "./encoded-event.ts";
import type { Feed } from "./feed.ts";
import { RecentBudget } from "./recent.ts";
import { Rounds } from "./rounds.ts";

/** Channels told of an interruption in one turn of the event loop: a full node has more than one should take. */
const TOLD_PER_TURN = 200;

/** Which channels this node listens to. Who listens to them, the edges know. */
export class Hub {
  readonly #context: ChannelContext;
  readonly #channels = new Map<string, Channel>();
  readonly #budget: RecentBudget;
  readonly #rounds = new Rounds(this.#channels);
  readonly audience: Audience;
  /** Session and channel pairs. */
  subscriptions = 0;

  /** @param recentBytes of events that are held for those who come back */
  constructor(
    feed: Feed,
    edges: readonly Edge[],
    recentBytes: number,
    counts: ContinuityCounts,
    register: AudienceRegister,
  ) {
    this.audience = new Audience(
      register,
      (name) => this.#channels.get(name)?.interest ?? 0,
      () => this.#channels.keys(),
    );
    this.#budget = new RecentBudget(recentBytes);
    this.#context = {
      feed,
      edges,
      budget: this.#budget,
      counts,
    };
  }

  start(): void {
    this.#rounds.start();
    this.audience.start();
  }

  stop(): void {
    this.#rounds.stop();
    this.audience.stop();
  }

  get channels(): number {
    return this.#channels.size;
  }

  get recentBytes(): number {
    return this.#budget.bytes;
  }

  /**
   * Resolves when events of the channel come in; the first local listener subscribes the node. Who was answered owes
   * one `unsubscribe`.
   * @returns with the hub's own copy of the name: the caller's was cut out of a frame or URL, which it keeps alive
   * @throws {RequestError} backplane_unavailable
   */
  async subscribe(name: string): Promise<Channel> {
    const channel = this.#channels.get(name) ?? this.#open(name);
    channel.interest++;
    await channel.live; // one that failed is forgotten already, with all who waited for it
    this.subscriptions++;
    this.audience.changed(channel.name);
    return channel;
  }

  /** The last local listener unsubscribes the node. */
  unsubscribe(name: string): void {
    const channel = this.#channels.get(name);
    if (!channel) return;
    this.subscriptions--;
    this.audience.changed(channel.name);
    if (--channel.interest > 0) return;
    this.#channels.delete(name);
    channel.close();
    this.#context.feed.unsubscribe(name);
  }

  deliver(event: EncodedEvent): void {
    // Else the last listener left while it was on its way.
    this.#channels.get(event.channel)?.receive(event);
  }

  /** The way to the other nodes was broken and is mended: what was missed is fetched, or told. */
  interrupted(): void {
    const channels = [...this.#channels.values()].values();
    const some = () => {
      for (let i = 0; i < TOLD_PER_TURN; i++) {
        const next = channels.next();
        if (next.done) return;
        void next.value.interrupted();
      }
      setImmediate(some);
    };
    some();
  }

  /** Something happened to a channel's history: whoever listens here hears of it. */
  check(name: string): void {
    this.#channels
      .get(name)
      ?.check()
      .catch(() => {});
  }

  #open(name: string): Channel {
    const channel = new Channel(name, this.#context.feed.keeps(name), this.#context);
    this.#channels.set(name, channel);
    // Whoever comes after the failure tries anew; those who wait now get the rejection themselves.
    channel.live.catch(() => this.#channels.delete(name));
    return channel;
  }
}
