import type { EncodedEvent } from "../hub/encoded-event.ts";
import type { CloseReason } from "../protocol/codes.ts";
import type { ServerFrame } from "../protocol/frames.ts";

/** What a transport gives a session: one client's wire. Every method is harmless on a wire that is gone. */
export interface Connection {
  /** Unique in the fleet. */
  readonly id: string;
  readonly transport: "websocket";
  /** Puts events on the wire in one write. The transport itself ends a client that takes nothing. */
  deliver(events: readonly EncodedEvent[]): void;
  /** All in one write. */
  send(...frames: readonly ServerFrame[]): void;
  /** Ends the connection; the session hears `end` as for any other end. */
  close(reason: CloseReason): void;
}
