/** A channel and how many are subscribed to it, over all nodes. */
export interface ChannelCount {
  readonly channel: string;
  readonly subscribers: number;
}

/** Which part of the channels that have a subscriber, by name. */
export interface ChannelsQuery {
  /** Behind this one; undefined: from the first one on. */
  readonly after: string | undefined;
  /** What their names begin with; '': all. */
  readonly prefix: string;
  readonly limit: number;
}
