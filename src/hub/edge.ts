import type { LossReason } from "../protocol/frames.ts";
import type { Position } from "../protocol/position.ts";
import type { EncodedEvent } from "./encoded-event.ts";

/** What the hub needs of a transport. */
export interface Edge {
  /** Puts an event on the wire of every connection that has joined its channel. Never throws. */
  broadcast(event: EncodedEvent): void;
  /** Tells every one of them that events of the channel may be missing for it, and from where on it goes on. */
  lost(channel: string, position: Position | undefined, reason: LossReason): void;
}
