import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import { apiRoutes } from "./api/routes.ts";
import type { Identity } from "./auth/identity.ts";
import type { Jwks } from "./auth/jwks.ts";
import { pemBlocks, publicKey, secretKey } from "./auth/keys.ts";
import { decodeRevocation, encodeRevocation, Revocations } from "./auth/revocations.ts";
import { type TokenRules, verifyToken } from "./auth/token.ts";
import type { Backplane, BackplaneEvents } from "./backplane/backplane.ts";
import { MemoryBackplane } from "./backplane/memory.ts";
import { RedisBackplane } from "./backplane/redis/redis.ts";
import { parseRedisUrl } from "./backplane/redis/redis-url.ts";
import type { Config } from "./config/config.ts";
import { Hub } from "./hub/hub.ts";
import { Counts, createMetrics } from "./metrics.ts";
import type { JsonLimits } from "./protocol/json.ts";
import { Deadlines } from "./session/deadlines.ts";
import { History } from "./session/history.ts";
import { Presence } from "./session/presence.ts";
import { Publisher } from "./session/publisher.ts";
import { Rate } from "./session/rate.ts";
import { Refusals } from "./session/refusals.ts";
import type { SessionContext } from "./session/session.ts";
import { Sessions } from "./session/sessions.ts";
import { Users } from "./session/users.ts";
import { type Check, createAdminServer } from "./transport/admin.ts";
import { Drain } from "./transport/drain.ts";
import { HandshakeRate } from "./transport/handshake-rate.ts";
import { Heartbeat } from "./transport/heartbeat.ts";
import { serveHttp } from "./transport/http.ts";
import { EXCLUSIVE_PORT, type Uws, type us_listen_socket } from "./transport/uws.ts";
import { serveWebSocket, type WebSocketOptions } from "./transport/websocket.ts";
import type { WebSocketConnection } from "./transport/websocket-connection.ts";
import { WebSocketTopics } from "./transport/websocket-topics.ts";

export interface GatewayContext {
  readonly uws: Uws;
  readonly log: Logger;
  readonly version: string;
  /** The node's name, unique in the fleet. */
  readonly node: string;
  /** Something that no waiting mends: the process should say so and exit. */
  onFatal(error: Error): void;
}

export interface Gateway {
  /** Listens on both ports. @throws {Error} naming the port that is taken */
  start(): Promise<{ url: string; admin: string }>;
  /** Closes the connections over the drain time, then everything. */
  stop(): Promise<void>;
}

/**
 * Seconds above heartbeat and pong timeout: uWebSockets.js cuts a silent socket only if our heartbeat did not. With
 * the bounds of those two options it stays within 8 to 960, outside which uWebSockets.js ends the process.
 */
const IDLE_MARGIN_S = 20;

/** Who was cut off may be on the way back, and is waited for; no longer than somebody whose node has died. */
const MAX_AWAY_MS = 15_000;
/** To connect, and to be subscribed again. */
const BACK_MS = 2_000;

/** The composition root: builds every part, connects them, starts them, and stops them in reverse. */
export async function createGateway(config: Config, context: GatewayContext): Promise<Gateway> {
  const { uws, log } = context;
  const counts = new Counts();
  const jwks = config.jwks_url === undefined ? undefined : await loadJwks(config.jwks_url, log);
  const revocations = new Revocations();
  const tokens: TokenRules = {
    ...keyRules(config, jwks),
    revocations: () => (backplane.knowsRevocations ? revocations : undefined),
  };
  const warnings = new Rate(1, 10); // one bad publisher must not fill the disk: the metric counts all
  const backplane = createBackplane(config, context, {
    event(event, source) {
      counts.received[source]++;
      hub.deliver(event);
    },
    refused(reason, channel) {
      counts.payloadsRefused.add(reason);
      if (warnings.take()) log.warn({ reason, channel }, "a Redis payload is no event");
    },
    interrupted: () => hub.interrupted(),
    revoked(text, until) {
      const revocation = decodeRevocation(text);
      if (!revocation) return;
      revocations.add(revocation, until);
      sessions.obey(revocation);
    },
    forgotten() {
      users.renew();
      presence?.attendances.renew();
    },
  });
  const app = uws.App();
  const topics = new WebSocketTopics(app, counts, config.max_node_queued_bytes);
  const hub = new Hub(backplane, topics, config.recent_bytes, counts);
  const sessions = new Sessions();
  const users = new Users(config.max_connections_per_user, backplane);
  const publisher = new Publisher(backplane, config.grants, (result) => counts.published.add(result));
  const history = new History(backplane, config.grants);
  const presence = createPresence(config, backplane);
  const refusals = new Refusals(log);
  const deadlines = new Deadlines();
  const heartbeat = new Heartbeat<WebSocketConnection>(config.heartbeat / 1000, config.pong_timeout / 1000);
  const requests = { open: 0 };
  const drain = new Drain(heartbeat, requests, config.drain_time);
  const checks = (): Check[] => [
    { name: "started", ok: listening !== undefined },
    { name: "not draining", ok: !drain.begun },
    { name: "under capacity", ok: config.max_connections === 0 || heartbeat.size < config.max_connections },
    { name: "backplane", ...backplaneCheck(backplane, config.backplane_grace) },
  ];
  const registry = createMetrics({
    counts,
    hub,
    backplane,
    connections: () => heartbeat.size,
    capacity: config.max_connections,
    presence: presence?.attendances,
    queuedBytes: () => topics.queuedBytes,
    revocations,
    draining: () => drain.begun,
    ready: () => checks().every((check) => check.ok),
    build: { version: context.version, node: process.version, uws: uws.name },
  });

  const parts = {
    counts,
    topics,
    hub,
    sessions,
    users,
    publisher,
    history,
    presence,
    refusals,
    deadlines,
    heartbeat,
    drain,
    verify: (token: string) => verifyToken(token, tokens),
  };
  serveWebSocket(app, webSocketOptions(config, context, parts));
  serveHttp(
    app,
    apiRoutes({
      publisher,
      history,
      presence,
      directory: backplane,
      revocations: {
        async revoke(revocation, until, by) {
          await backplane.revoke(encodeRevocation(revocation), until);
          log.info({ ...revocation, by }, "revoked");
        },
      },
      rules: config.grants,
      jsonLimits: jsonLimits(config),
      cookieName: config.token_cookie,
      revocationMs: config.revocation_time,
      verify: parts.verify,
    }),
    {
      ...edgeOptions(config, context),
      maxBodyBytes: config.max_frame_bytes,
      refusals,
      requests,
    },
  );
  const admin = createAdminServer({
    checks,
    metrics: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  });
  let listening: us_listen_socket | undefined;

  return {
    async start() {
      for (const warning of config.warnings) log.warn(warning);
      jwks?.start();
      backplane.start();
      deadlines.start();
      users.start();
      presence?.attendances.start();
      heartbeat.start();
      await listenAdmin(admin, config);
      admin.on("error", (error) => log.error({ err: error }, "the admin port"));
      listening = await listen(app, config);
      return {
        url: `http://${bracketed(config.host)}:${uws.us_socket_local_port(listening)}`,
        admin: `http://${bracketed(config.admin_host)}:${(admin.address() as AddressInfo).port}`,
      };
    },
    async stop() {
      await drain.run(() => listening && uws.us_listen_socket_close(listening));
      app.close();
      admin.close();
      admin.closeAllConnections();
      heartbeat.stop();
      users.stop();
      presence?.attendances.stop();
      deadlines.stop();
      await backplane.close();
      jwks?.stop();
    },
  };
}

/** What the edges share. */
interface Parts {
  readonly counts: Counts;
  readonly topics: WebSocketTopics;
  readonly hub: Hub;
  readonly sessions: Sessions;
  readonly users: Users;
  readonly publisher: Publisher;
  readonly history: History;
  readonly presence: Presence | undefined;
  readonly refusals: Refusals;
  readonly deadlines: Deadlines;
  readonly heartbeat: Heartbeat<WebSocketConnection>;
  readonly drain: Drain;
  verify(token: string): Identity | Promise<Identity>;
}

function edgeOptions(config: Config, { log }: GatewayContext) {
  return {
    origins: config.allowed_origins ?? "none",
    trustedProxies: config.trusted_proxies,
    hints: config.development,
    log,
  };
}

function webSocketOptions(config: Config, context: GatewayContext, parts: Parts): WebSocketOptions {
  const { heartbeat, topics, counts } = parts;
  const instance = randomBytes(6).toString("base64url");
  let connections = 0;
  const { origins, ...edge } = edgeOptions(config, context);
  return {
    ...edge,
    rules: {
      origins,
      cookieName: config.token_cookie,
      rate: new HandshakeRate(config.handshake_rate),
      maxConnections: config.max_connections,
      connections: () => heartbeat.size,
      draining: () => parts.drain.closing,
      verify: parts.verify,
      checkUser: (user) => parts.users.check(user),
    },
    session: sessionContext(config, context, parts),
    topics,
    heartbeat,
    maxFrameBytes: config.max_frame_bytes,
    maxQueuedBytes: config.max_queued_bytes,
    idleTimeout: (config.heartbeat + config.pong_timeout) / 1000 + IDLE_MARGIN_S,
    counts,
    refused: (code) => counts.refused.add(code),
    connectionId: () => `${instance}-${(++connections).toString(36)}`,
  };
}

function sessionContext(config: Config, { node, log }: GatewayContext, parts: Parts): SessionContext {
  const { hub, sessions, users, publisher, history, presence, refusals, deadlines, counts, verify } = parts;
  return {
    hub,
    sessions,
    users,
    publisher,
    history,
    presence,
    deadlines,
    verify,
    rules: config.grants,
    log,
    refusals,
    counts: {
      command: (type) => counts.commands.add(type),
      commandError: (code) => counts.commandErrors.add(code),
      resume: (result) => counts.resumes.add(result),
    },
    node,
    authTimeoutMs: config.auth_timeout,
    heartbeatMs: config.heartbeat,
    maxFrameBytes: config.max_frame_bytes,
    jsonLimits: jsonLimits(config),
    maxChannels: config.max_channels_per_connection,
    commandRate: config.command_rate,
    reconnectMs: reconnectWindow(config),
    hints: config.development,
  };
}

/** An edge is exposed: what makes outgoing requests is not even loaded unless it was asked for. */
async function loadJwks(url: string, log: Logger): Promise<Jwks> {
  const { Jwks } = await import("./auth/jwks.ts");
  return new Jwks(url, log);
}

function jsonLimits({ max_json_depth, max_json_keys }: Config): JsonLimits {
  return { depth: max_json_depth, keys: max_json_keys };
}

function keyRules(config: Config, jwks: Jwks | undefined): Omit<TokenRules, "revocations"> {
  return {
    keys: [
      ...(config.jwt_secret ?? []).map((secret) => secretKey(secret)),
      ...pemBlocks(config.jwt_public_key ?? "").map((pem) => publicKey(pem)),
    ],
    jwks,
    issuer: config.jwt_issuer,
    audience: config.jwt_audience,
  };
}

function createBackplane(
  config: Config,
  { node, log, onFatal }: GatewayContext,
  events: BackplaneEvents,
): Backplane {
  if (config.redis_url === undefined) return new MemoryBackplane(node, config.history, events);
  return new RedisBackplane({
    address: parseRedisUrl(config.redis_url, config.redis_ca),
    prefix: config.redis_prefix,
    node,
    instance: `${node}:${randomBytes(6).toString("base64url")}`,
    maxEventBytes: config.max_frame_bytes,
    history: config.history,
    presence: config.presence.length > 0,
    log,
    events,
    onFatal,
  });
}

function createPresence(config: Config, backplane: Backplane): Presence | undefined {
  if (config.presence.length === 0) return undefined;
  const graceMs = Math.min(reconnectWindow(config).max, MAX_AWAY_MS) + BACK_MS;
  return new Presence(config.presence, backplane, config.grants, graceMs);
}

function backplaneCheck({ downSince }: Backplane, graceMs: number): { ok: boolean; detail?: string } {
  if (downSince === undefined) return { ok: true };
  const awayMs = performance.now() - downSince;
  const away = Number.isFinite(awayMs) ? `away for ${Math.round(awayMs / 1000)} s` : "not reached yet";
  return { ok: awayMs < graceMs, detail: `${away} (TIDEGATE_REDIS_URL, TIDEGATE_BACKPLANE_GRACE)` };
}

/** The whole node's connections, at the rate that a node accepts them. */
function reconnectWindow({ max_connections, handshake_rate }: Config): { min: number; max: number } {
  const storm = handshake_rate === 0 ? 0 : Math.round((max_connections / handshake_rate) * 1000);
  return { min: 500, max: Math.max(5_000, storm) };
}

async function listenAdmin(admin: Server, { admin_host, admin_port }: Config): Promise<void> {
  admin.listen(admin_port, admin_host);
  try {
    await once(admin, "listening");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === "EADDRINUSE" ? "taken" : `not an address of this machine (${code})`;
    throw new Error(
      `cannot listen on ${admin_host}:${admin_port}: ${why} (TIDEGATE_ADMIN_HOST, TIDEGATE_ADMIN_PORT)`,
    );
  }
}

function listen(app: ReturnType<Uws["App"]>, { host, port }: Config): Promise<us_listen_socket> {
  return new Promise((resolve, reject) => {
    // The typings lack the form with a host and options, which the addon has.
    const listenExclusively = app.listen.bind(app) as unknown as (
      host: string,
      port: number,
      options: number,
      callback: (socket: us_listen_socket | false) => void,
    ) => void;
    listenExclusively(host, port, EXCLUSIVE_PORT, (socket) => {
      if (socket) resolve(socket);
      else
        reject(
          new Error(
            `cannot listen on ${host}:${port}: taken, or not an address of this machine (TIDEGATE_HOST, TIDEGATE_PORT)`,
          ),
        );
    });
  });
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
