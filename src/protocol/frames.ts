import type { CloseReason, Code } from "./codes.ts";
import type { Ref } from "./commands.ts";

/** The subprotocols, best first for a client that offers several. */
export const SUBPROTOCOLS = ["tidegate.v1", "tidegate.v1.binary"] as const;
export type Subprotocol = (typeof SUBPROTOCOLS)[number];

/** How a token travels in `Sec-WebSocket-Protocol`: `bearer.<token>`. Never echoed. */
export const BEARER_PREFIX = "bearer.";

/** What a connection is told first. Durations are milliseconds and relative: no client clock is needed. */
export interface Welcome {
  readonly type: "welcome";
  readonly connection: string;
  readonly node: string;
  /** Null until `auth`. */
  readonly user: string | null;
  /** Until the token ends; null until `auth`. */
  readonly expires_in: number | null;
  /** Between two pings of the server. */
  readonly heartbeat: number;
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

/** Server to client: everything but events, which are encoded once for all (see `event.ts`). */
export type ServerFrame =
  | Welcome
  | { readonly type: "authenticated"; readonly ref?: Ref; readonly user: string; readonly expires_in: number }
  | {
      readonly type: "subscribed";
      readonly ref?: Ref;
      readonly channel: string;
      /** Without `ref`, at any time: continuity was lost on a live subscription. */
      readonly resumed?: false;
      readonly reason?: "history_lost";
    }
  | { readonly type: "unsubscribed"; readonly ref?: Ref; readonly channel: string; readonly code?: Code }
  | { readonly type: "published"; readonly ref: Ref; readonly channel: string; readonly listeners: number }
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
