import { randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import { docsRoutes } from "../api/docs.ts";
import { apiRoutes } from "../api/routes.ts";
import { decodeRevocation, encodeRevocation, Revocations } from "../auth/revocations.ts";
import { standing, type TokenRules, verifyToken } from "../auth/token.ts";
import { VerifiedTokens } from "../auth/verified.ts";
import type { Config } from "../config/config.ts";
import { Hub } from "../hub/hub.ts";
import { Counts, createMetrics } from "../metrics.ts";
import { Deadlines } from "../session/deadlines.ts";
import { History } from "../session/history.ts";
import { Publisher } from "../session/publisher.ts";
import { Rate } from "../session/rate.ts";
import { Refusals } from "../session/refusals.ts";
import { Sessions } from "../session/sessions.ts";
import { Users } from "../session/users.ts";
import { type Check, createAdminServer } from "../transport/admin.ts";
import { Drain } from "../transport/drain.ts";
import { Heartbeat } from "../transport/heartbeat.ts";
import { serveHttp } from "../transport/http/http.ts";
import { Queues } from "../transport/queues.ts";
import type { SseConnection } from "../transport/sse/connection.ts";
import { Sse } from "../transport/sse/sse.ts";
import { SseStreams } from "../transport/sse/streams.ts";
import type { us_listen_socket } from "../transport/uws.ts";
import type { WebSocketConnection } from "../transport/websocket/connection.ts";
import { WebSocketTopics } from "../transport/websocket/topics.ts";
import { serveWebSocket } from "../transport/websocket/websocket.ts";
import { backplaneCheck, createBackplane } from "./backplane.ts";
import type { GatewayContext } from "./context.ts";
import { admissionRules, edgeOptions, jsonLimits, sseOptions, webSocketOptions } from "./edges.ts";
import { bracketed, listen, listenAdmin } from "./listen.ts";
import { createPresence } from "./presence.ts";
import { keyRules, loadJwks } from "./tokens.ts";

export interface Gateway {
  /** Listens on both ports. @throws {Error} naming the port that is taken */
  start(): Promise<{ url: string; admin: string }>;
  /** Closes the connections over the drain time, then everything. */
  stop(): Promise<void>;
}

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
    historyForgotten: (channel) => hub.check(channel),
    forgotten() {
      users.renew();
      hub.audience.renew();
      presence?.attendances.renew();
    },
  });
  const app = uws.App();
  const queues = new Queues(config.max_node_queued_bytes);
  const topics = new WebSocketTopics(app, counts.websocket, queues);
  const streams = new SseStreams(counts.sse, queues);
  const hub = new Hub(backplane, [topics, streams], config.recent_bytes, counts, backplane);
  const sessions = new Sessions();
  const users = new Users(config.max_connections_per_user, backplane);
  const publisher = new Publisher(backplane, config.grants, (result) => counts.published.add(result));
  const history = new History(backplane, config.grants);
  const presence = createPresence(config, backplane);
  const refusals = new Refusals(log);
  const deadlines = new Deadlines();
  const heartbeat = new Heartbeat<WebSocketConnection | SseConnection>(
    config.heartbeat / 1000,
    config.pong_timeout / 1000,
  );
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
    connections: () => ({ websocket: topics.size, sse: streams.size }),
    capacity: config.max_connections,
    presence: presence?.attendances,
    queuedBytes: () => queues.bytes,
    revocations,
    draining: () => drain.begun,
    ready: () => checks().every((check) => check.ok),
    build: { version: context.version, node: process.version, uws: uws.name },
  });

  const verify = (token: string) => verifyToken(token, tokens);
  const verified = new VerifiedTokens(verify, (identity) => standing(identity, tokens));
  const parts = {
    counts,
    topics,
    streams,
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
    verify,
    rules: admissionRules(config, { heartbeat, drain, users, verify }),
    // Not to be guessed: who knows a connection's name can keep an event from it (`except`).
    connectionId: () => randomBytes(12).toString("base64url"),
  };
  serveWebSocket(app, webSocketOptions(config, context, parts));
  serveHttp(
    app,
    [
      ...docsRoutes(context.version),
      ...apiRoutes({
        publisher,
        history,
        presence,
        sse: new Sse(sseOptions(config, context, parts)),
        channels: backplane,
        directory: backplane,
        revocations: {
          async revoke(revocation, until, by) {
            await backplane.revoke(encodeRevocation(revocation), until);
            log.info({ ...revocation, by }, "revoked");
          },
        },
        rules: config.grants,
        jsonLimits: jsonLimits(config),
        maxEventBytes: config.max_frame_bytes,
        hints: config.development,
        cookieName: config.token_cookie,
        revocationMs: config.revocation_time,
        verify: (token) => verified.verify(token),
      }),
    ],
    {
      ...edgeOptions(config, context),
      origins: parts.rules.origins,
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
      hub.start();
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
      hub.stop();
      await backplane.close();
      jwks?.stop();
    },
  };
}
