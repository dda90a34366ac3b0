import type { Identity } from "../auth/identity.ts";
import type { Config } from "../config/config.ts";
import type { Hub } from "../hub/hub.ts";
import type { Counts } from "../metrics.ts";
import type { JsonLimits } from "../protocol/json.ts";
import type { ConversationContext } from "../session/conversation.ts";
import type { Deadlines } from "../session/deadlines.ts";
import type { History } from "../session/history.ts";
import type { Presence } from "../session/presence.ts";
import type { Publisher } from "../session/publisher.ts";
import type { Refusals } from "../session/refusals.ts";
import type { SessionContext } from "../session/session.ts";
import type { Sessions } from "../session/sessions.ts";
import type { Users } from "../session/users.ts";
import type { AdmissionRules } from "../transport/admission.ts";
import type { Drain } from "../transport/drain.ts";
import { HandshakeRate } from "../transport/handshake-rate.ts";
import type { Heartbeat } from "../transport/heartbeat.ts";
import type { SseConnection } from "../transport/sse/connection.ts";
import type { SseOptions } from "../transport/sse/sse.ts";
import type { SseStreams } from "../transport/sse/streams.ts";
import type { WebSocketConnection } from "../transport/websocket/connection.ts";
import type { WebSocketTopics } from "../transport/websocket/topics.ts";
import type { WebSocketOptions } from "../transport/websocket/websocket.ts";
import type { GatewayContext } from "./context.ts";
import { reconnectWindow } from "./reconnect.ts";

/**
 * Seconds above heartbeat and pong timeout: uWebSockets.js cuts a silent socket only if our heartbeat did not. With
 * the bounds of those two options it stays within 8 to 960, outside which uWebSockets.js ends the process.
 */
const IDLE_MARGIN_S = 20;

/** What the edges share. */
export interface Parts {
  readonly counts: Counts;
  readonly topics: WebSocketTopics;
  readonly streams: SseStreams;
  readonly hub: Hub;
  readonly sessions: Sessions;
  readonly users: Users;
  readonly publisher: Publisher;
  readonly history: History;
  readonly presence: Presence | undefined;
  readonly refusals: Refusals;
  readonly deadlines: Deadlines;
  readonly heartbeat: Heartbeat<WebSocketConnection | SseConnection>;
  readonly rules: AdmissionRules;
  /** A new id, unique in the fleet. */
  connectionId(): string;
  readonly drain: Drain;
  verify(token: string): Identity | Promise<Identity>;
}

/** Whom to believe about where a client is, and what is said of refusals. */
export function edgeOptions(config: Config, { log }: GatewayContext) {
  return {
    trustedProxies: config.trusted_proxies,
    hints: config.development,
    log,
  };
}

/** Who comes in to stay, whatever the transport. */
export function admissionRules(
  config: Config,
  parts: Pick<Parts, "heartbeat" | "drain" | "users" | "verify">,
): AdmissionRules {
  return {
    origins: config.allowed_origins ?? "none",
    cookieName: config.token_cookie,
    rate: new HandshakeRate(config.handshake_rate),
    maxConnections: config.max_connections,
    connections: () => parts.heartbeat.size,
    draining: () => parts.drain.closing,
    verify: parts.verify,
    checkUser: (user) => parts.users.check(user),
  };
}

export function webSocketOptions(config: Config, context: GatewayContext, parts: Parts): WebSocketOptions {
  const { heartbeat, topics, counts, rules, connectionId } = parts;
  return {
    ...edgeOptions(config, context),
    rules,
    conversation: conversationContext(config, context, parts),
    topics,
    heartbeat,
    maxFrameBytes: config.max_frame_bytes,
    maxQueuedBytes: config.max_queued_bytes,
    idleTimeout: (config.heartbeat + config.pong_timeout) / 1000 + IDLE_MARGIN_S,
    counts: counts.websocket,
    refused: (code) => counts.refused.add(code),
    connectionId,
  };
}

export function sseOptions(config: Config, context: GatewayContext, parts: Parts): SseOptions {
  const { heartbeat, streams, counts, rules, connectionId } = parts;
  return {
    rules,
    session: sessionContext(config, context, parts),
    streams,
    heartbeat,
    counts: counts.sse,
    maxQueuedBytes: config.max_queued_bytes,
    node: context.node,
    heartbeatMs: config.heartbeat,
    reconnectMs: reconnectWindow(config),
    refused: (code) => counts.refused.add(code),
    resumed: (result) => counts.resumes.add(result),
    connectionId,
  };
}

function sessionContext(config: Config, { log }: GatewayContext, parts: Parts): SessionContext {
  const { hub, sessions, users, presence, refusals, deadlines, counts } = parts;
  return {
    hub,
    sessions,
    users,
    presence,
    deadlines,
    rules: config.grants,
    log,
    refusals,
    refused: (code) => counts.commandErrors.add(code),
    authTimeoutMs: config.auth_timeout,
    maxChannels: config.max_channels_per_connection,
    hints: config.development,
  };
}

function conversationContext(config: Config, context: GatewayContext, parts: Parts): ConversationContext {
  const { publisher, history, counts, verify } = parts;
  return {
    ...sessionContext(config, context, parts),
    publisher,
    history,
    verify,
    counts: {
      command: (type) => counts.commands.add(type),
      resume: (result) => counts.resumes.add(result),
    },
    node: context.node,
    heartbeatMs: config.heartbeat,
    maxFrameBytes: config.max_frame_bytes,
    jsonLimits: jsonLimits(config),
    commandRate: config.command_rate,
    reconnectMs: reconnectWindow(config),
  };
}

export function jsonLimits({ max_json_depth, max_json_keys }: Config): JsonLimits {
  return { depth: max_json_depth, keys: max_json_keys };
}
