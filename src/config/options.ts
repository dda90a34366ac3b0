import type { Code } from "../protocol/codes.ts";
import * as kind from "./kinds.ts";

export interface Option<T> {
  readonly kind: kind.Kind<T>;
  /** As it would be written; undefined: no value. */
  readonly default?: string;
  /** In development mode, where that differs. */
  readonly development?: string;
  /** Its value, and that of `<name>_FILE`, is never printed. */
  readonly secret?: true;
  /** `<name>_FILE` names a file that holds the value. */
  readonly file?: true;
  readonly about: string;
  /** Of a limit: the code of what is past it (docs/limits.md). */
  readonly code?: Code;
}

function option<T>(row: Option<T> & { default: string }): Option<T> & { default: string };
function option<T>(row: Option<T>): Option<T>;
function option<T>(row: Option<T>): Option<T> {
  return row;
}

/** Every option there is. The environment variable is the name in capitals behind `TIDEGATE_`, the flag `--its-name`. */
export const OPTIONS = {
  role: option({
    kind: kind.oneOf("edge", "worker", "all"),
    default: "all",
    about:
      "What this node does. `edge`: connections and the API, and no outgoing request but to TIDEGATE_JWKS_URL; `worker`: webhooks and jobs, which come with a later version; `all`: both.",
  }),
  host: option({
    kind: kind.text,
    default: "127.0.0.1",
    about: "Address of the public port. Bind to a private one: HAProxy stands in front.",
  }),
  port: option({
    kind: kind.port,
    default: "8080",
    about: "Public port: WebSocket and HTTP API. 0: any free one.",
  }),
  admin_host: option({
    kind: kind.text,
    default: "127.0.0.1",
    about: "Address of the admin port. Never public.",
  }),
  admin_port: option({
    kind: kind.port,
    default: "9090",
    about: "Admin port: /healthz, /readyz, /metrics. 0: any free one.",
  }),
  node_id: option({
    kind: kind.text,
    about:
      "Name of this node in logs, frames and Redis; unique in the fleet. Default: host name and a random end.",
  }),
  log_level: option({
    kind: kind.oneOf("fatal", "error", "warn", "info", "debug"),
    default: "info",
    about: "Least severity that is logged (JSON lines on standard output).",
  }),

  jwt_secret: option({
    kind: kind.secrets,
    secret: true,
    file: true,
    about:
      "Secrets of HS256/384/512 tokens, each at least 32 bytes, newest first, separated by spaces or commas.",
  }),
  jwt_public_key: option({
    kind: kind.pem,
    file: true,
    about: "PEM public keys (RSA, EC), one or several, of RS/PS/ES tokens.",
  }),
  jwks_url: option({ kind: kind.url, about: "URL of a JSON Web Key Set with the public keys." }),
  jwt_issuer: option({ kind: kind.text, about: "What `iss` must be. Unset: not checked." }),
  jwt_audience: option({ kind: kind.text, about: "What `aud` must be or contain. Unset: not checked." }),
  revocation_time: option({
    kind: kind.duration(60_000, 31_536_000_000),
    default: "720h",
    about:
      "How long a revocation is kept when its `exp` was not given: at least as long as any token is valid.",
  }),
  token_cookie: option({
    kind: kind.text,
    about: "Name of a cookie that may hold the token. Then `Origin` is mandatory.",
  }),
  auth_timeout: option({
    kind: kind.duration(1_000, 300_000),
    default: "10s",
    about: "For the `auth` frame of a connection that came without a token.",
    code: "auth_timeout",
  }),
  allowed_origins: option({
    kind: kind.origins,
    development: "*",
    about:
      "Browsers' origins that may connect: a list, `same-origin`, `none` (no browser) or `*`. Required in production.",
  }),
  trusted_proxies: option({
    kind: kind.networks,
    default: "",
    about: "Networks whose X-Forwarded-For and X-Forwarded-Proto count, from the right.",
  }),
  grants: option({
    kind: kind.rules,
    default: "{}",
    about:
      'Server-side rules in the shape of the `channels` claim; `{sub}` is the user: `{"user:{sub}:*":["subscribe"]}`.',
  }),

  redis_url: option({
    kind: kind.text,
    secret: true,
    file: true,
    about: "redis://, rediss:// or redis+sentinel://h1:26379,h2:26379/<master>. Unset: one node alone.",
  }),
  redis_prefix: option({
    kind: kind.text,
    default: "tidegate",
    about: "Begins every Redis channel and key: separates environments on one Redis.",
  }),
  redis_ca: option({
    kind: kind.pem,
    file: true,
    about: "PEM of the authority behind a rediss:// certificate. Unset: the system's.",
  }),
  backplane_grace: option({
    kind: kind.duration(0, 3_600_000),
    default: "5s",
    about: "How long Redis may be away before the node says that it is not ready.",
  }),

  history: option({
    kind: kind.history,
    default: '{"*":{"size":1000,"time":"10m"}}',
    about:
      'What channels keep of what is published other than by plain `PUBLISH`, so that clients can resume: at most so many events, for so long; `"off"`: nothing. The most specific pattern counts. The same on all nodes.',
  }),
  presence: option({
    kind: kind.channels,
    default: "",
    about:
      "Channels that know who is there, as `room-* lobby`: they answer `presence`, and who comes and goes is an event in them, `$join` and `$leave`. The same on all nodes.",
  }),
  recent_bytes: option({
    kind: kind.size(0, 2 ** 34),
    default: "32MiB",
    about:
      "Of events that a node holds for clients that come back; what is not there is read from Redis. 0: none.",
  }),

  heartbeat: option({
    kind: kind.duration(5_000, 300_000),
    default: "30s",
    about:
      "Between two pings of a connection; whole seconds. `timeout tunnel` of haproxy.cfg is three of them.",
  }),
  pong_timeout: option({
    kind: kind.duration(1_000, 120_000),
    default: "10s",
    about: "For the pong, before the connection is closed; whole seconds, less than the heartbeat.",
    code: "no_pong",
  }),
  drain_time: option({
    kind: kind.duration(0, 3_600_000),
    default: "25s",
    development: "0s",
    about:
      "Over which a node that is stopped moves its clients to others. Kubernetes kills 30 s after SIGTERM unless told otherwise.",
  }),

  max_connections: option({
    kind: kind.integer(0, 1_000_000),
    default: "15000",
    about: "Connections of this node. 0: no limit, as in the rows below.",
    code: "over_capacity",
  }),
  max_connections_per_user: option({
    kind: kind.integer(0, 1_000_000),
    default: "100",
    development: "0",
    about: "Connections of one user (`sub`), on all nodes together; while Redis is away, on each.",
    code: "too_many_connections",
  }),
  handshake_rate: option({
    kind: kind.integer(0, 1_000_000),
    default: "2000",
    about: "Handshakes per second of this node.",
    code: "handshake_rate",
  }),
  max_channels_per_connection: option({
    kind: kind.integer(0, 1_000_000),
    default: "100",
    about: "Subscriptions of one connection.",
    code: "too_many_channels",
  }),
  command_rate: option({
    kind: kind.integer(0, 1_000_000),
    default: "50",
    about: "Commands per second of one connection; four seconds' worth may come at once.",
    code: "command_rate",
  }),
  max_queued_bytes: option({
    kind: kind.limit(kind.size(65_536, 2 ** 30)),
    default: "1MiB",
    about: "Bytes that wait for one client; past it the client is closed as slow.",
    code: "slow",
  }),
  max_node_queued_bytes: option({
    kind: kind.limit(kind.size(2 ** 20, 2 ** 40)),
    default: "256MiB",
    about: "Bytes that wait for all clients of this node; past it those with most are cut, as slow.",
    code: "slow",
  }),
  max_json_depth: option({
    kind: kind.integer(0, 10_000),
    default: "32",
    about: "Objects and lists within each other in a client's frame, an HTTP body, or an event of a batch.",
    code: "too_complex",
  }),
  max_json_keys: option({
    kind: kind.integer(0, 1_000_000),
    default: "4000",
    about: "Keys of all objects in a client's frame, an HTTP body, or an event of a batch.",
    code: "too_complex",
  }),
  max_frame_bytes: option({
    kind: kind.size(1_024, 2 ** 24),
    default: "64KiB",
    about: "Bytes of a client's frame, of an HTTP body (a batch: of each event) and of an event's data.",
    code: "too_big",
  }),
} satisfies Record<string, Option<unknown>>;

export type OptionName = keyof typeof OPTIONS;

type ValueOf<O> = O extends Option<infer T> ? (O extends { default: string } ? T : T | undefined) : never;

/** The value of each option, read. */
export type Values = { readonly [N in OptionName]: ValueOf<(typeof OPTIONS)[N]> };

export function environmentName(name: OptionName): string {
  return `TIDEGATE_${name.toUpperCase()}`;
}

export function flagName(name: OptionName): string {
  return `--${name.replaceAll("_", "-")}`;
}
