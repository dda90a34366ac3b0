import type { EncodedEvent } from "../hub/encoded-event.ts";
import type { CloseReason } from "../protocol/codes.ts";
import type { ServerFrame } from "../protocol/frames.ts";

/** What a transport gives a session: one client's wire. Every method is harmless on a wire that is gone. */
export interface Connection {
  /** Unique in the fleet. */
  readonly id: string;
  readonly transport: "websocket" | "sse";
  /** From now on it gets the channel's events. The transport itself ends a client that takes nothing. */
  join(channel: string): void;
  /** No event that is published from now on. */
  leave(channel: string): void;
  /** All in one write, behind the events that came before. */
  send(...frames: readonly ServerFrame[]): void;
  /** A frame that is encoded already. */
  sendText(text: string): void;
  /** To it alone, likewise in one write; without those that it asked not to hear. */
  sendEvents(events: readonly EncodedEvent[]): void;
  /** What it was sent and has not taken. */
  readonly queuedBytes: number;
  /** Resolves when it has taken some or is gone; false: nothing within that time. */
  drained(withinMs: number): Promise<boolean>;
  /** Ends the connection; the session hears `end` as for any other end. */
  close(reason: CloseReason): void;
}
