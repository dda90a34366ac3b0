import type { EncodedEvent } from "./encoded-event.ts";

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

/** What the hub needs of a transport. */
export interface Edge {
  /** Puts an event on the wire of every connection that has joined its channel. Never throws. */
  broadcast(event: EncodedEvent): void;
}

interface Channel {
  readonly name: string;
  /** Subscriptions, and those who wait for `live` to have one. */
  interest: number;
  readonly live: Promise<void>;
}

/** Which channels this node listens to, and the one place that fans out. Who listens to them, the edges know. */
export class Hub {
  readonly #feed: Feed;
  readonly #edge: Edge;
  readonly #channels = new Map<string, Channel>();
  /** Session and channel pairs. */
  subscriptions = 0;

  constructor(feed: Feed, edge: Edge) {
    this.#feed = feed;
    this.#edge = edge;
  }

  get channels(): number {
    return this.#channels.size;
  }

  /**
   * Resolves when events of the channel come in; the first local listener subscribes the node. Who was answered owes
   * one `unsubscribe`.
   * @returns the hub's own copy of the name: the caller's was cut out of a frame or URL, which it keeps alive
   * @throws {RequestError} backplane_unavailable
   */
  async subscribe(name: string): Promise<string> {
    const channel = this.#channels.get(name) ?? this.#open(name);
    channel.interest++;
    await channel.live; // one that failed is forgotten already, with all who waited for it
    this.subscriptions++;
    return channel.name;
  }

  /** The last local listener unsubscribes the node. */
  unsubscribe(name: string): void {
    const channel = this.#channels.get(name);
    if (!channel) return;
    this.subscriptions--;
    if (--channel.interest > 0) return;
    this.#channels.delete(name);
    this.#feed.unsubscribe(name);
  }

  deliver(event: EncodedEvent): void {
    if (!this.#channels.has(event.channel)) return; // the last listener left while it was on its way
    this.#edge.broadcast(event);
  }

  #open(name: string): Channel {
    const live = this.#feed.subscribe(name);
    const channel: Channel = { name, interest: 0, live };
    this.#channels.set(name, channel);
    // Whoever comes after the failure tries anew; those who wait now get the rejection themselves.
    live.catch(() => this.#channels.delete(name));
    return channel;
  }
}
