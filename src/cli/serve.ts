import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { pino } from "pino";
import type { Config } from "../config/config.ts";
import { createGateway } from "../gateway/gateway.ts";
import { loadUws } from "../transport/uws.ts";
import { developmentSecret } from "./development.ts";
import { EXIT_CONFIG, EXIT_FAILURE } from "./exit.ts";
import { ALL_GRANTS, mintToken } from "./mint.ts";

/** What a command may do to its process. */
export interface Process {
  readonly version: string;
  print(line: string): void;
  onSignal(handler: () => void): void;
  exit(code: number): never;
}

/** Runs one node until it is told to stop: the first signal drains, a second one ends it at once. */
export async function serve(config: Config, process: Process): Promise<void> {
  const uws = await loadUws();
  const destination = pino.destination({ sync: false, minLength: 4096, periodicFlush: 200 });
  const exit = (code: number): never => {
    destination.flushSync();
    return process.exit(code);
  };
  const node = config.node_id ?? nodeName();
  const log = pino(
    { level: config.log_level, base: { node }, hooks: { streamWrite: printable } },
    destination,
  );
  const keyed = config.development ? { ...config, jwt_secret: [developmentSecret()] } : config;
  const gateway = await createGateway(keyed, {
    uws,
    log,
    version: process.version,
    node,
    onFatal(error) {
      log.fatal(error.message);
      exit(EXIT_CONFIG);
    },
  });
  const addresses = await gateway.start();
  log.info(
    { ...addresses, role: config.role, backplane: config.redis_url === undefined ? "memory" : "redis" },
    "listening",
  );
  if (config.redis_url === undefined && !config.development) {
    log.warn("no TIDEGATE_REDIS_URL: this node is alone, events reach no other node");
  }
  if (config.development) process.print(banner(keyed, addresses));
  let stopping = false;
  process.onSignal(() => {
    if (stopping) exit(EXIT_FAILURE);
    stopping = true;
    log.info("stopping");
    gateway.stop().then(
      () => exit(0),
      (error: unknown) => {
        log.error({ err: error }, "could not stop in order");
        exit(EXIT_FAILURE);
      },
    );
  });
}

/** JSON leaves C1 controls, line separators and bidirectional marks as they are; terminals and log readers obey them. */
function printable(line: string): string {
  return line.replace(
    /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The host's name with a random end: two processes of one host are two nodes, a restarted one is a new one. */
function nodeName(): string {
  return `${hostname()
    .replaceAll(/[^A-Za-z0-9._-]/g, "-")
    .slice(0, 48)}-${randomBytes(3).toString("hex")}`;
}

function banner(config: Config, { url, admin }: { url: string; admin: string }): string {
  const token = mintToken(config, { sub: "dev", channels: ALL_GRANTS, admin: ["*"], ttlSeconds: 24 * 3600 });
  const ws = `${url.replace("http", "ws")}/ws`;
  return `
  Tidegate — DEVELOPMENT MODE: generated secret, every origin allowed, loopback only.
  Configure TIDEGATE_JWT_SECRET, TIDEGATE_JWT_PUBLIC_KEY or TIDEGATE_JWKS_URL for production.

  WebSocket   ${ws}
  HTTP API    ${url}/v1  ${url}/docs
  admin       ${admin}/readyz  ${admin}/metrics

  A token for everything, valid for a day (more: npx tidegate token):
  ${token}

  Listen to channel chat-123 (with the WebSocket client wscat):
  npx wscat -c '${ws}?channel=chat-123' -s tidegate.v1 -s 'bearer.${token}'
  or to its event stream:
  curl -N '${url}/v1/channels/chat-123/events' -H 'Accept: text/event-stream' -H 'Authorization: Bearer ${token}'

  Publish to it from another terminal:
  curl -X POST ${url}/v1/channels/chat-123/events -H 'Authorization: Bearer ${token}' -H 'Content-Type: application/json' -d '{"data":{"text":"Hello!"}}'
`;
}
