/**
 * Every code that a client, a caller of the API or a log line can meet: one table, printed into PROTOCOL.md.
 *
 * `status`     the HTTP status when it answers a request (RFC 9457 problem+json)
 * `close`      the WebSocket close code when it ends a connection; the range tells a client what to do:
 *              4000–4499 come back, 4500–4999 do not
 * `temporary`  whether the same request can succeed later without being changed
 * `title`      what happened; `cure` what to do about it
 * `keys`       the variables of the configuration that decide about it; none when nothing configures it
 */
export interface CodeRow {
  readonly status?: number;
  readonly close?: number;
  readonly temporary: boolean;
  readonly title: string;
  readonly cure: string;
  readonly keys?: readonly string[];
}

export const CODES = {
  // who you are
  token_missing: {
    status: 401,
    temporary: false,
    title: "No token was given",
    cure: "Send `Authorization: Bearer …`, or on a WebSocket the subprotocol `bearer.<token>` or an `auth` frame.",
    keys: ["TIDEGATE_TOKEN_COOKIE"],
  },
  token_invalid: {
    status: 401,
    close: 4501,
    temporary: false,
    title: "The token was not accepted",
    cure: "The node's log names the rule. Keys: TIDEGATE_JWT_SECRET, TIDEGATE_JWT_PUBLIC_KEY, TIDEGATE_JWKS_URL, TIDEGATE_JWT_ISSUER, TIDEGATE_JWT_AUDIENCE.",
    keys: [
      "TIDEGATE_JWT_SECRET",
      "TIDEGATE_JWT_PUBLIC_KEY",
      "TIDEGATE_JWKS_URL",
      "TIDEGATE_JWT_ISSUER",
      "TIDEGATE_JWT_AUDIENCE",
    ],
  },
  token_expired: {
    status: 401,
    close: 4401,
    temporary: false,
    title: "The token has expired",
    cure: "Get a fresh token and connect again, or send it in an `auth` frame before the old one ends.",
  },
  token_revoked: {
    status: 401,
    close: 4503,
    temporary: false,
    title: "The token was revoked",
    cure: "Somebody with the admin grant `revoke` took it back (`POST /v1/revocations`). Sign in anew.",
  },
  disconnected: {
    status: 403,
    close: 4504,
    temporary: false,
    title: "The application ended this user's connections",
    cure: "Somebody with the admin grant `connections` did (`DELETE /v1/users/{user}/connections`). The token is still good.",
  },
  auth_unavailable: {
    status: 503,
    close: 4403,
    temporary: true,
    title: "The token cannot be checked right now",
    cure: "The key server of TIDEGATE_JWKS_URL did not answer, or the node, just started, could not read the revocations from Redis (its log says why; the ACL in README.md has the rights that it needs); try again.",
    keys: ["TIDEGATE_JWKS_URL", "TIDEGATE_REDIS_URL"],
  },
  auth_timeout: {
    close: 4408,
    temporary: true,
    title: "The connection did not authenticate in time",
    cure: "Send `auth` as the first frame, within TIDEGATE_AUTH_TIMEOUT.",
    keys: ["TIDEGATE_AUTH_TIMEOUT"],
  },
  auth_required: {
    temporary: false,
    title: "The first frame of a connection without a token must be `auth`",
    cure: "Send `auth` first; commands may be pipelined behind it.",
  },
  user_mismatch: {
    temporary: false,
    title: "The fresh token belongs to another user",
    cure: "A connection keeps its user; open a new connection for another one.",
  },
  origin_not_allowed: {
    status: 403,
    temporary: false,
    title: "The Origin of this request is not allowed",
    cure: "Add the origin, exactly as the browser sends it, to TIDEGATE_ALLOWED_ORIGINS.",
    keys: ["TIDEGATE_ALLOWED_ORIGINS"],
  },
  // what you may do
  forbidden: {
    status: 403,
    temporary: false,
    title: "No grant allows this",
    cure: "`GET /v1/explain?action=…&channel=…` says what would allow it: the token's `channels` claim, or a rule in TIDEGATE_GRANTS. For what concerns others (users, revocations, the list of channels, deleting a history) it is the token's `admin` claim.",
    keys: ["TIDEGATE_GRANTS"],
  },
  reserved_channel: {
    status: 403,
    temporary: false,
    title: "This channel belongs to the gateway",
    cure: "Names that begin `job:` or `$` cannot be published to from outside.",
  },
  // the shape of a request
  bad_frame: {
    status: 400,
    temporary: false,
    title: "The frame or body is not a JSON object of the documented shape",
    cure: "See PROTOCOL.md; the message names the field.",
  },
  too_complex: {
    status: 400,
    temporary: false,
    title: "The JSON is nested too deeply, or has too many keys",
    cure: "Send it flatter, or as a string. The limits are TIDEGATE_MAX_JSON_DEPTH and TIDEGATE_MAX_JSON_KEYS; the body of a revocation is flat.",
    keys: ["TIDEGATE_MAX_JSON_DEPTH", "TIDEGATE_MAX_JSON_KEYS"],
  },
  unknown_type: {
    temporary: false,
    title: "No command has this type",
    cure: 'To publish an event of your own type send `{"type":"publish","channel":…,"event":{"type":…,"data":…}}`.',
  },
  not_supported: {
    status: 501,
    temporary: false,
    title: "This node does not offer that feature",
    cure: "The channel keeps no history (TIDEGATE_HISTORY) or has no presence (TIDEGATE_PRESENCE); `welcome.features` lists what the node has at all.",
    keys: ["TIDEGATE_HISTORY", "TIDEGATE_PRESENCE"],
  },
  bad_since: {
    status: 400,
    temporary: false,
    title: "This is not the id of an event",
    cure: "Send an `id` exactly as it came.",
  },
  bad_limit: {
    status: 400,
    temporary: false,
    title: "The number of events is out of bounds",
    cure: "An integer from 1 to 1000; of an event stream `last` times its channels is no more either.",
  },
  bad_key: {
    status: 400,
    temporary: false,
    title: "The idempotency key is malformed",
    cure: "1–128 printable ASCII characters, without spaces.",
  },
  key_reused: {
    status: 409,
    temporary: false,
    title: "The idempotency key was used for another event",
    cure: "A key stands for one event, for five minutes, per channel and publisher. Use a new one.",
  },
  history_gone: {
    status: 410,
    temporary: false,
    title: "The history does not reach back to this event",
    cure: "Read it without `since`. How much is kept says TIDEGATE_HISTORY.",
    keys: ["TIDEGATE_HISTORY"],
  },
  bad_channel: {
    status: 400,
    temporary: false,
    title: "The channel name is malformed",
    cure: "1–200 characters of `A–Z a–z 0–9 _ - . :`, the first a letter or digit.",
  },
  channel_required: {
    temporary: false,
    title: "The frame names no channel and the session does not have exactly one subscription",
    cure: "Name the channel.",
  },
  bad_event: {
    status: 400,
    temporary: false,
    title: "The event is malformed",
    cure: "`type` matches `[A-Za-z][A-Za-z0-9_.:-]{0,63}` and is not a control word; `data` (or, over HTTP, `data_base64`) is required; the message names the field.",
  },
  too_big: {
    status: 413,
    close: 4509,
    temporary: false,
    title: "The frame, body or event is over the size limit",
    cure: "Send less, or raise TIDEGATE_MAX_FRAME_BYTES. A batch has 1 MiB at most, whatever that is.",
    keys: ["TIDEGATE_MAX_FRAME_BYTES"],
  },
  not_found: {
    status: 404,
    temporary: false,
    title: "Nothing is here",
    cure: "See the routes in PROTOCOL.md, section 6.",
  },
  method_not_allowed: {
    status: 405,
    temporary: false,
    title: "This path does not take that method",
    cure: "The `Allow` header lists the methods.",
  },
  unsupported_media_type: {
    status: 415,
    temporary: false,
    title: "The body is not JSON",
    cure: "Send `Content-Type: application/json`.",
  },
  // the handshake (RFC 6455 4.2.1)
  bad_handshake: {
    status: 400,
    temporary: false,
    title: "This is not a WebSocket handshake as RFC 6455 defines it",
    cure: "The detail names the header.",
  },
  bad_subprotocol: {
    status: 400,
    temporary: false,
    title: "None of the offered subprotocols is known",
    cure: "Offer `tidegate.v1` or `tidegate.v1.binary`, or none.",
  },
  upgrade_required: {
    status: 426,
    temporary: false,
    title: "This resource speaks WebSocket, version 13",
    cure: "The request would be accepted as a WebSocket handshake.",
  },
  // limits
  over_capacity: {
    status: 503,
    temporary: true,
    title: "This node has as many connections as it may hold",
    cure: "Try again: the balancer picks another node. The limit is TIDEGATE_MAX_CONNECTIONS.",
    keys: ["TIDEGATE_MAX_CONNECTIONS"],
  },
  handshake_rate: {
    status: 429,
    temporary: true,
    title: "This node accepts no more handshakes this second",
    cure: "Try again with jitter. The limit is TIDEGATE_HANDSHAKE_RATE.",
    keys: ["TIDEGATE_HANDSHAKE_RATE"],
  },
  too_many_connections: {
    status: 429,
    close: 4409,
    temporary: true,
    title: "The user has as many connections as one user may",
    cure: "Close one first. The limit, for the whole fleet, is TIDEGATE_MAX_CONNECTIONS_PER_USER.",
    keys: ["TIDEGATE_MAX_CONNECTIONS_PER_USER"],
  },
  too_many_revocations: {
    status: 503,
    temporary: true,
    title: "As many revocations are kept as may be",
    cure: "They end with TIDEGATE_REVOCATION_TIME, or at the `exp` that was given. One by `sub` stands for many by `jti`.",
    keys: ["TIDEGATE_REVOCATION_TIME"],
  },
  too_many_channels: {
    status: 400,
    temporary: false,
    title: "The connection has as many subscriptions as it may hold",
    cure: "Unsubscribe first. The limit is TIDEGATE_MAX_CHANNELS_PER_CONNECTION.",
    keys: ["TIDEGATE_MAX_CHANNELS_PER_CONNECTION"],
  },
  command_rate: {
    close: 4429,
    temporary: true,
    title: "The connection sends commands faster than it may",
    cure: "Slow down to `welcome.limits.commands_per_second` (TIDEGATE_COMMAND_RATE); each channel of a `subscribe` counts. A client that goes on is closed.",
    keys: ["TIDEGATE_COMMAND_RATE"],
  },
  // the node's own state
  backplane_unavailable: {
    status: 503,
    temporary: true,
    title: "The backplane (Redis) does not answer",
    cure: "Nothing was subscribed or confirmed as published; try again.",
    keys: ["TIDEGATE_REDIS_URL", "TIDEGATE_BACKPLANE_GRACE"],
  },
  shutting_down: {
    status: 503,
    close: 4000,
    temporary: true,
    title: "This node is shutting down",
    cure: "Connect again: the balancer picks another node.",
    keys: ["TIDEGATE_DRAIN_TIME"],
  },
  slow: {
    close: 4001,
    temporary: true,
    title: "The client reads more slowly than its channels speak",
    cure: "Connect again and read faster, or subscribe to less. The limits are TIDEGATE_MAX_QUEUED_BYTES, and TIDEGATE_MAX_NODE_QUEUED_BYTES for all clients of a node.",
    keys: ["TIDEGATE_MAX_QUEUED_BYTES", "TIDEGATE_MAX_NODE_QUEUED_BYTES"],
  },
  no_pong: {
    close: 4002,
    temporary: true,
    title: "A ping was not answered in time",
    cure: "Connect again. Intervals: TIDEGATE_HEARTBEAT, TIDEGATE_PONG_TIMEOUT.",
    keys: ["TIDEGATE_HEARTBEAT", "TIDEGATE_PONG_TIMEOUT"],
  },
  internal: {
    status: 500,
    close: 4011,
    temporary: true,
    title: "The gateway failed; its log says why",
    cure: "Try again; report it with the time and the node's name.",
  },
} as const satisfies Record<string, CodeRow>;

export type Code = keyof typeof CODES;

/** The HTTP status of a problem. */
export function statusOf(code: Code): number {
  return (CODES[code] as CodeRow).status ?? 400;
}

/** The codes that end a connection. */
export type CloseReason = { [C in Code]: (typeof CODES)[C] extends { close: number } ? C : never }[Code];

/**
 * Whether a client should come back after this close code. Only the range decides, so that a new code
 * never needs a new client.
 */
export function shouldReconnect(close: number): boolean {
  if (close >= 4000) return close < 4500;
  return close !== 1000 && close !== 1002 && close !== 1003 && !(close >= 1007 && close <= 1010);
}

/** A request that failed although its connection lives: an `error` frame, or a problem+json answer. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly code: Code;
  /** For the log alone: the rule that was broken, where telling it would teach a forger. */
  readonly reason: string;
  /** The channel that it is about. */
  readonly channel: string | undefined;
  /** What would have helped. */
  readonly hint: string | undefined;

  constructor(
    code: Code,
    message?: string,
    about: { channel?: string | undefined; hint?: string | undefined; reason?: string } = {},
  ) {
    // It says what a client did, not where we are: a stack would cost more than the refusal.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message ?? CODES[code].title);
    Error.stackTraceLimit = stackTraceLimit;
    this.code = code;
    this.reason = about.reason ?? this.message;
    this.channel = about.channel;
    this.hint = about.hint;
  }

  /** For development mode: what helps whoever asked. */
  get help(): string | undefined {
    return this.hint ?? (this.reason === this.message ? undefined : this.reason);
  }
}
