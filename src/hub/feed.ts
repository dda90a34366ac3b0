import type { Position } from "../protocol/position.ts";
import type { EncodedEvent } from "./encoded-event.ts";

/** Part of a channel's history, and where the channel was when it was read. */
export interface Page {
  /** Undefined: the channel keeps no history. */
  readonly head: Position | undefined;
  readonly events: readonly EncodedEvent[];
}

/** How much of its events a channel keeps. */
export interface Keeps {
  readonly size: number;
  readonly timeMs: number;
}

/** What the hub needs of the other nodes. */
export interface Feed {
  /**
   * Resolves when every event published from then on will reach this node. Calls take effect in the order made,
   * `unsubscribe` included. A rejected call leaves nothing behind; what resolved survives reconnects.
   * @throws {RequestError} backplane_unavailable
   */
  subscribe(channel: string): Promise<void>;
  unsubscribe(channel: string): void;
  /** Undefined: nothing. */
  keeps(channel: string): Keeps | undefined;
  /**
   * The channel's newest position; its history begins with this, where there was none. Undefined: it keeps none.
   * @throws {RequestError} backplane_unavailable
   */
  head(channel: string): Promise<Position | undefined>;
  /**
   * Says that an event that this node has heard of is none of the channel's history: it was lost. From then on nobody
   * resumes past it unaware. @returns the channel's newest position @throws {RequestError} backplane_unavailable
   */
  fork(channel: string, lost: Position): Promise<Position | undefined>;
  /**
   * The events behind an offset, as far as they are kept, up to `limit` or about a megabyte.
   * @throws {RequestError} backplane_unavailable
   */
  readAfter(channel: string, offset: number, limit: number): Promise<Page>;
  /** The last events before an offset, newest first, likewise. @throws {RequestError} backplane_unavailable */
  readBefore(channel: string, offset: number, limit: number): Promise<Page>;
}
