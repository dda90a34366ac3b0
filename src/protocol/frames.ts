import type { CloseReason, Code } from "./codes.ts";
import type { Ref } from "./commands.ts";
import { formatId, type Position } from "./position.ts";

/** The subprotocols, best first for a client that offers several. */
export const SUBPROTOCOLS = ["tidegate.v1", "tidegate.v1.binary"] as const;
export type Subprotocol = (typeof SUBPROTOCOLS)[number];

/** How a token travels in `Sec-WebSocket-Protocol`: `bearer.<token>`. Never echoed. */
export const BEARER_PREFIX = "bearer.";

/** What an event stream is told first. Durations are milliseconds and relative: no client clock is needed. */
export interface StreamWelcome {
  readonly type: "welcome";
  readonly connection: string;
  readonly node: string;
  /** Null until `auth`. */
  readonly user: string | null;
  /** Until the token ends; null until `auth`. */
  readonly expires_in: number | null;
  /** Between two signs of life of the server. */
  readonly heartbeat: number;
}

/** What a WebSocket is told first. */
export interface Welcome extends StreamWelcome {
  readonly limits: {
    /** 0 in each: no limit. */
    readonly frame_bytes: number;
    readonly channels: number;
    readonly commands_per_second: number;
  };
  readonly features: readonly string[];
  /** The window for a reconnect that nobody announced. */
  readonly reconnect: { readonly min: number; readonly max: number };
}

/**
 * Why what was missed cannot follow. `trimmed`: it was kept, and is no more; `forked`: Redis went back in time, and what
 * was there is another's; `history_lost`: Redis lost it all, or it was deleted; `no_history`: the channel keeps none;
 * `slow_backplane`: Redis does not give it in time; `subscribed`: the channel is subscribed already, and nothing is missing.
 */
export type LossReason =
  | "trimmed"
  | "forked"
  | "history_lost"
  | "no_history"
  | "slow_backplane"
  | "subscribed";

/** Tells a subscriber that events may be missing for it, and from where on it goes on. */
export function lostFrame(channel: string, position: Position | undefined, reason: LossReason): ServerFrame {
  return { type: "subscribed", channel, ...withId(position), resumed: false, reason };
}

export function withRef(ref: Ref | undefined): { ref?: Ref } {
  return ref === undefined ? {} : { ref };
}

export function withId(position: Position | undefined): { id?: string } {
  return position ? { id: formatId(position) } : {};
}

/** Server to client: everything but events, which are encoded once for all (see `event.ts`). */
export type ServerFrame =
  | Welcome
  | { readonly type: "authenticated"; readonly ref?: Ref; readonly user: string; readonly expires_in: number }
  | {
      readonly type: "subscribed";
      readonly ref?: Ref;
      readonly channel: string;
      /** Where the channel is; missing when it keeps no history. What follows goes on from there, or leads up to it. */
      readonly id?: string;
      /** After `since` or `last`: whether all that was missed follows. Without `ref`, at any time: continuity was lost. */
      readonly resumed?: boolean;
      /** How many events follow that were published before. */
      readonly missed?: number;
      readonly reason?: LossReason;
    }
  | { readonly type: "unsubscribed"; readonly ref?: Ref; readonly channel: string; readonly code?: Code }
  | {
      readonly type: "published";
      readonly ref: Ref;
      readonly channel: string;
      /** Missing on a channel that keeps no history. */
      readonly id?: string;
      readonly listeners: number;
      /** The idempotency key was used for the same before: nothing was published now. */
      readonly repeated?: true;
    }
  | { readonly type: "pong"; readonly ref?: Ref }
  | {
      /** The connection will be closed: open the next one, then drop this one. */
      readonly type: "closing";
      readonly code: number;
      readonly reason: CloseReason;
      /** Wait this long before connecting, so that a node's clients do not come as one. */
      readonly reconnect_in: number;
      /** Until the close, from now. */
      readonly grace: number;
      /** Reconnect with `?fresh=1`, so that the balancer's cookie does not bring you back. */
      readonly fresh: boolean;
    }
  | {
      readonly type: "error";
      readonly ref?: Ref;
      readonly code: Code;
      readonly message: string;
      readonly channel?: string;
      readonly temporary: boolean;
      /** In development mode only: what would have granted it. */
      readonly hint?: string;
    };
