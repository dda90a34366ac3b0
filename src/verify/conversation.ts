import type { ConnectionEnd } from "./ended.ts";

/** What a client has over one connection, by WebSocket or as an event stream. */
export interface Conversation {
  /** Subscribed to every channel. */
  readonly isReady: boolean;
  /** The node has asked to move. */
  readonly isClosing: boolean;
  /** Without a word to the node, and without `onEnd`. */
  cut(): void;
}

export interface ConversationOptions {
  readonly run: string;
  readonly token: string;
  /** Not to the node that the balancer's cookie would lead to. */
  readonly fresh: boolean;
  /** Subscribed to every channel. */
  onReady(): void;
  /** The node asks to move in so many milliseconds; `fresh`: to another one. */
  onClosing(inMs: number, fresh: boolean): void;
  /** Something that no retry mends. */
  onRefused(why: string): void;
  onEnd(end: ConnectionEnd): void;
}
