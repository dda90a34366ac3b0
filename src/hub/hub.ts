import type { Outgoing } from "./outgoing.ts";

/** Anything that the hub can deliver to. */
export interface Subscriber {
  /** The events of one tick, in order, to be put on the wire in one write. Never throws. */
  deliver(events: readonly Outgoing[]): void;
  /** Events of the channel may have been missed; the stream goes on. */
  interrupted(channel: string): void;
}

/** What the hub needs of the other nodes. */
export interface Feed {
  /**
   * Resolves when every event published from then on will reach this node.
   * Calls take effect in the order made, `unsubscribe` included. A rejected call leaves nothing behind.
   * @throws {RequestError} backplane_unavailable
   */
  subscribe(channel: string): Promise<void>;
  unsubscribe(channel: string): void;
}

interface Channel {
  readonly name: string;
  readonly subscribers: Set<Subscriber>;
  /** Subscribers, and those who wait for `live` to become one. */
  interest: number;
  readonly live: Promise<void>;
  /** The events of this tick. */
  pending: Outgoing[];
}

/** Which sessions of this node listen to which channel, and the one place that fans out. */
export class Hub {
  readonly #feed: Feed;
  readonly #channels = new Map<string, Channel>();
  #dirty: Channel[] = [];
  /** Session and channel pairs. */
  subscriptions = 0;
  /** Ticks that had an event. */
  flushes = 0;

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  get channels(): number {
    return this.#channels.size;
  }

  /**
   * Subscribes; the first local listener subscribes the node. `confirm` is called right before the subscriber can
   * get its first event, with the hub's own copy of the name; it answers false when the session has ended meanwhile.
   * A subscriber subscribes to a channel once.
   * @throws {RequestError} backplane_unavailable
   */
  async subscribe(name: string, subscriber: Subscriber, confirm: (name: string) => boolean): Promise<void> {
    const channel = this.#channels.get(name) ?? this.#open(name);
    channel.interest++;
    try {
      await channel.live;
    } catch (error) {
      this.#release(channel);
      throw error;
    }
    this.#flushChannel(channel); // what came before the confirmation is not for the newcomer
    if (!confirm(channel.name)) return this.#release(channel);
    channel.subscribers.add(subscriber);
    this.subscriptions++;
  }

  /** No event of the channel reaches the subscriber any more. The last local listener unsubscribes the node. */
  unsubscribe(name: string, subscriber: Subscriber): void {
    const channel = this.#channels.get(name);
    if (!channel?.subscribers.delete(subscriber)) return;
    this.subscriptions--;
    this.#release(channel);
  }

  /**
   * Takes an event in. It goes out with the others of this tick: the kernel's send is what a delivery costs, and so
   * each socket gets one write a tick, however many events it had.
   */
  publish(event: Outgoing): void {
    const channel = this.#channels.get(event.channel);
    if (!channel) return; // the last listener left while it was on its way
    if (channel.pending.length === 0) {
      if (this.#dirty.length === 0) setImmediate(() => this.#flush());
      this.#dirty.push(channel);
    }
    channel.pending.push(event);
  }

  /** Tells every subscriber that events may be missing: what is lost is never lost silently. */
  interrupted(): void {
    for (const channel of this.#channels.values()) {
      this.#flushChannel(channel);
      for (const subscriber of channel.subscribers) subscriber.interrupted(channel.name);
    }
  }

  #open(name: string): Channel {
    const live = this.#feed.subscribe(name);
    const channel: Channel = { name, subscribers: new Set(), interest: 0, live, pending: [] };
    this.#channels.set(name, channel);
    // Whoever comes after the failure tries anew; those who wait now get the rejection themselves.
    live.catch(() => this.#forget(channel));
    return channel;
  }

  #release(channel: Channel): void {
    if (--channel.interest > 0 || !this.#forget(channel)) return;
    this.#feed.unsubscribe(channel.name);
  }

  #forget(channel: Channel): boolean {
    return this.#channels.get(channel.name) === channel && this.#channels.delete(channel.name);
  }

  #flush(): void {
    this.flushes++;
    const dirty = this.#dirty;
    this.#dirty = [];
    const [only] = dirty;
    if (dirty.length === 1 && only) this.#flushChannel(only);
    else this.#flushTogether(dirty);
  }

  #flushChannel(channel: Channel): void {
    const events = channel.pending;
    if (events.length === 0) return;
    channel.pending = [];
    for (const subscriber of channel.subscribers) subscriber.deliver(events);
  }

  /** Several channels in one tick: a session that listens to more than one of them still gets one write. */
  #flushTogether(channels: readonly Channel[]): void {
    const outboxes = new Map<Subscriber, Outgoing[]>();
    for (const channel of channels) {
      const events = channel.pending;
      channel.pending = [];
      for (const subscriber of channel.subscribers) {
        const outbox = outboxes.get(subscriber);
        // Most sessions hear one channel a tick: they share the channel's own list.
        outboxes.set(subscriber, outbox ? outbox.concat(events) : events);
      }
    }
    for (const [subscriber, events] of outboxes) if (events.length > 0) subscriber.deliver(events);
  }
}
