/** What is promised to be run against, and how hard. Durations are milliseconds. */
export interface VerifyOptions {
  /** `http://host:port`, of a node or the balancer; `ws:` and `wss:` are the same. */
  readonly url: string;
  /** A token for a user of that name, who may subscribe and publish to `verify-*`. Asked for anew with each connection. */
  token(user: string): string;
  /**
   * A token that may do nothing on `verify-*`. With it, somebody keeps trying to resume the channels, and must not get in.
   */
  strangerToken?(): string;
  readonly channels: number;
  /** Events per second, of all publishers together. */
  readonly rate: number;
  readonly publishers: number;
  readonly via: Via;
  readonly clients: number;
  /** Taken in turn by the clients; at least one. Default: both. Every other event stream is of one channel alone. */
  readonly transports?: readonly Transport[];
  readonly channelsPerClient: number;
  /** Mean time after which a client reconnects, without a need; 0: never. */
  readonly reconnectMs: number;
  /** Longest time for which a client stays away that has cut its connection. */
  readonly awayMs: number;
  readonly durationMs: number;
  /**
   * How long, after the last publish, everything may take to arrive. Who follows a node that stands still finds that out
   * once a heartbeat is overdue (30 s by default, and 5 s), and has to come back then.
   */
  readonly settleMs: number;
  /** Longest wait before another attempt to connect or to publish. */
  readonly maxRetryMs: number;
  /** Being told of a loss is no failure: Redis is known to lose events in this run. */
  readonly allowTold: boolean;
}

/** How clients follow: a WebSocket, or an event stream over HTTP. */
export type Transport = "ws" | "sse";

/** How events are published: a WebSocket's `publish` frame, an HTTP request, or the function in Redis. */
export type Via = "ws" | "http" | { readonly redis: string; readonly prefix: string };

export const DEFAULTS = {
  channels: 10,
  rate: 100,
  via: "ws",
  clients: 50,
  transports: ["ws", "sse"],
  channelsPerClient: 3,
  reconnectMs: 5_000,
  awayMs: 1_000,
  durationMs: 30_000,
  settleMs: 40_000,
  maxRetryMs: 2_000,
  allowTold: false,
} as const satisfies Partial<VerifyOptions>;

/** Of the canary, which runs for ever beside production. */
export const CANARY_DEFAULTS = { ...DEFAULTS, channels: 2, rate: 1, clients: 4, channelsPerClient: 2 };

/** Events per second that one publisher sends: a connection may send 50 commands (TIDEGATE_COMMAND_RATE), retries included. */
const RATE_PER_PUBLISHER = 40;

export function publishersFor(rate: number): number {
  return Math.max(2, Math.ceil(rate / RATE_PER_PUBLISHER));
}

/** Nothing could be said about the promises: nobody was let in, or nothing keeps history. */
export class CouldNotRun extends Error {
  override readonly name = "CouldNotRun";
}
