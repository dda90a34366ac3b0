import type { EncodedEvent } from "./encoded-event.ts";

/** A channel's own list as long as only one of a subscriber's channels had events, else a list of all. */
interface Outbox {
  events: EncodedEvent[];
  shared: boolean;
}

/** Anything that the hub can deliver to. */
export interface Subscriber {
  /**
   * The events of one tick, in order, to be put on the wire in one write. Never throws.
   * @param selective whether some are not for everybody (`except`): looked up once for all subscribers
   */
  deliver(events: readonly EncodedEvent[], selective: boolean): void;
  /** Events of these channels may have been missed; the stream goes on. */
  interrupted(channels: readonly string[]): void;
  /** The hub's own: what this subscriber gets when several channels had events in one tick. */
  outbox: Outbox | undefined;
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
  pending: EncodedEvent[];
}

/** Sessions told of an interruption in one tick. */
const TOLD_PER_TICK = 200;

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
    await channel.live; // one that failed is forgotten already, with all who waited for it
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
   *
   * A tick is one turn of JavaScript: all that one read from Redis brought, which under load is what has gathered
   * since the last. `setImmediate` would gather over several sockets too, but costs a turn of the event loop: 20 µs
   * for an event with one reader (`npm run bench -- --row channels`).
   */
  deliver(event: EncodedEvent): void {
    const channel = this.#channels.get(event.channel);
    if (!channel) return; // the last listener left while it was on its way
    if (channel.pending.length === 0) {
      if (this.#dirty.length === 0) queueMicrotask(() => this.#flush());
      this.#dirty.push(channel);
    }
    channel.pending.push(event);
  }

  /**
   * Tells every subscriber that events may be missing: what is lost is never lost silently. In slices: a full node
   * has more subscriptions than one tick should take.
   */
  interrupted(): void {
    this.#flush(); // what came before the notice goes out before it
    const lost = new Map<Subscriber, string[]>();
    for (const { name, subscribers } of this.#channels.values()) {
      for (const subscriber of subscribers) {
        const channels = lost.get(subscriber);
        if (channels) channels.push(name);
        else lost.set(subscriber, [name]);
      }
    }
    const each = lost.entries();
    const tellSome = () => {
      for (let i = 0; i < TOLD_PER_TICK; i++) {
        const next = each.next();
        if (next.done) return;
        const [subscriber, channels] = next.value;
        subscriber.interrupted(channels);
      }
      setImmediate(tellSome);
    };
    tellSome();
  }

  #open(name: string): Channel {
    const live = this.#feed.subscribe(name);
    const channel: Channel = { name, subscribers: new Set(), interest: 0, live, pending: [] };
    this.#channels.set(name, channel);
    // Whoever comes after the failure tries anew; those who wait now get the rejection themselves.
    live.catch(() => this.#channels.delete(name));
    return channel;
  }

  #release(channel: Channel): void {
    if (--channel.interest > 0) return;
    this.#channels.delete(channel.name);
    this.#feed.unsubscribe(channel.name);
  }

  #flush(): void {
    const dirty = this.#dirty;
    if (dirty.length === 0) return;
    this.flushes++;
    this.#dirty = [];
    if (dirty.length === 1) this.#flushChannel(dirty[0] as Channel);
    else this.#flushTogether(dirty);
  }

  #flushChannel(channel: Channel): void {
    const events = channel.pending;
    if (events.length === 0) return;
    channel.pending = [];
    const selective = isSelective(events);
    for (const subscriber of channel.subscribers) subscriber.deliver(events, selective);
  }

  /**
   * Several channels in one tick: a session that listens to more than one of them still gets one write. The lists
   * hang on the subscribers: a Map of them costs 200 ns a delivery more, with a thousand rooms a third of our share.
   */
  #flushTogether(channels: readonly Channel[]): void {
    const touched: Subscriber[] = [];
    for (const channel of channels) {
      const events = channel.pending;
      if (events.length === 0) continue;
      channel.pending = [];
      const own: Outbox = { events, shared: true };
      for (const subscriber of channel.subscribers) {
        const { outbox } = subscriber;
        if (!outbox) {
          subscriber.outbox = own;
          touched.push(subscriber);
        } else if (outbox.shared) {
          subscriber.outbox = { events: [...outbox.events, ...events], shared: false };
        } else {
          outbox.events.push(...events);
        }
      }
    }
    for (const subscriber of touched) {
      const { events } = subscriber.outbox as Outbox;
      subscriber.outbox = undefined;
      subscriber.deliver(events, isSelective(events));
    }
  }
}

function isSelective(events: readonly EncodedEvent[]): boolean {
  return events.some((event) => event.except !== undefined);
}
