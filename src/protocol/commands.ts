import { RequestError } from "./codes.ts";
import type { Mark } from "./cursor.ts";
import type { Position } from "./position.ts";

/** Comes back in the reply: an integer from 0 to 2⁵³ − 1, or a string of up to 64 characters. */
export type Ref = number | string;

/** Where a subscription begins: behind an event, where a cursor's mark says, or some events back. */
export type Start = { readonly since: Position } | { readonly mark: Mark } | { readonly last: number };

export interface Subscribe {
  readonly channel: string;
  /** Undefined: with what comes next. */
  readonly start: Start | undefined;
}

/** Which part of a channel's history: forwards from `since`, or backwards from `before`, or from the newest event. */
export interface HistoryQuery {
  readonly since: Position | undefined;
  readonly before: Position | undefined;
  /** 1 to `MAX_LIMIT`. */
  readonly limit: number;
}

/** Which part of a channel's members. */
export interface MembersQuery {
  /** Behind this user; undefined: from the first one on. */
  readonly after: string | undefined;
  /** 1 to `MAX_LIMIT`. */
  readonly limit: number;
}

export interface Publish {
  readonly type: "publish";
  readonly ref: Ref | undefined;
  /** Left out only in the articles' `message` form. */
  readonly channel: string | undefined;
  readonly eventType: string;
  /** JSON text exactly as the client wrote it, or the bytes of a binary frame. */
  readonly data: string | Uint8Array;
  /** False: not to the connection that publishes. */
  readonly echo: boolean;
  /** Who the event says it is from; needs the grant `publish_as`. */
  readonly sender: string | undefined;
  /** The idempotency key. */
  readonly key: string | undefined;
  /** Of the publisher's trace. */
  readonly traceparent?: string | undefined;
}

export type Command =
  | { readonly type: "auth"; readonly ref: Ref | undefined; readonly token: string }
  | { readonly type: "subscribe"; readonly ref: Ref | undefined; readonly channels: readonly Subscribe[] }
  | { readonly type: "unsubscribe"; readonly ref: Ref | undefined; readonly channel: string }
  | Publish
  | {
      readonly type: "history";
      readonly ref: Ref | undefined;
      readonly channel: string;
      readonly query: HistoryQuery;
    }
  | {
      readonly type: "presence";
      readonly ref: Ref | undefined;
      readonly channel: string;
      readonly query: MembersQuery;
    }
  | { readonly type: "ping"; readonly ref: Ref | undefined };

/** A frame that is no command. `ref` is what could be read of it. */
export class CommandError extends RequestError {
  readonly ref: Ref | undefined;
  constructor({ code, message, channel, hint, reason }: RequestError, ref: Ref | undefined) {
    super(code, message, { channel, hint, reason });
    this.ref = ref;
  }
}

/** Channels in one `subscribe` frame. */
export const MAX_CHANNELS_PER_FRAME = 1000;
/** Channels of one event stream: each has its place in every id. */
export const MAX_CHANNELS_PER_STREAM = 100;
/** Events in one batch. */
export const MAX_BATCH_EVENTS = 100;
/** Events or members in one answer. */
export const MAX_LIMIT = 1000;
export const DEFAULT_LIMIT = 100;
export const MAX_USER_LENGTH = 256;

/** The grammar of idempotency keys. */
export const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,128}$/;
/** The grammar of connections' names. */
export const CONNECTION_NAME = /^[\w-]{1,32}$/;
