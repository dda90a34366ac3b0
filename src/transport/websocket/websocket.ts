import type { BlockList } from "node:net";
import type { Logger } from "pino";
import type { Identity } from "../../auth/identity.ts";
import { RequestError } from "../../protocol/codes.ts";
import type { Subscribe } from "../../protocol/commands.ts";
import { parseCursor } from "../../protocol/cursor.ts";
import type { Subprotocol } from "../../protocol/frames.ts";
import { Conversation, type ConversationContext } from "../../session/conversation.ts";
import { type AdmissionRules, admit, checkAgain } from "../admission.ts";
import type { Heartbeat } from "../heartbeat.ts";
import { problemOf, write } from "../http/answer.ts";
import { withCors } from "../http/cors.ts";
import { asker, type RequestHead, readHead } from "../request.ts";
import type { HttpRequest, HttpResponse, TemplatedApp, us_socket_context_t, WebSocket } from "../uws.ts";
import { WebSocketConnection, type WebSocketCounts } from "./connection.ts";
import { checkForm, choose } from "./handshake.ts";
import type { WebSocketTopics } from "./topics.ts";

export interface WebSocketOptions {
  readonly rules: AdmissionRules;
  readonly trustedProxies: BlockList;
  readonly conversation: ConversationContext;
  readonly topics: WebSocketTopics;
  readonly heartbeat: Pick<Heartbeat<WebSocketConnection>, "add" | "remove">;
  readonly maxFrameBytes: number;
  readonly maxQueuedBytes: number;
  /** Seconds without a byte from a client after which uWebSockets.js itself cuts it, should our heartbeat fail. */
  readonly idleTimeout: number;
  /** Development mode: refusals say what would have helped. */
  readonly hints: boolean;
  readonly log: Logger;
  readonly counts: WebSocketCounts;
  refused(code: string): void;
  /** A new id, unique in the fleet. */
  connectionId(): string;
}

/** uWebSockets.js copies the properties of what is handed to it, so the connection is one of them. */
interface UserData {
  readonly connection: WebSocketConnection;
}

/** `GET /ws`: the handshake with its checks; one connection and one session for each socket. */
export function serveWebSocket(app: TemplatedApp, options: WebSocketOptions): void {
  const { heartbeat, log } = options;
  /** A bug met by one client's frame ends that client, not the process. */
  const guarded = (socket: WebSocket<UserData>, handle: (connection: WebSocketConnection) => void) => {
    const { connection } = socket.getUserData();
    try {
      handle(connection);
    } catch (error) {
      log.error({ err: error, connection: connection.id }, "a connection failed");
      connection.close("internal");
    }
  };
  app.ws<UserData>("/ws", {
    // A frame somewhat over our own limit gets a close code; one far over it loses the connection in C++ already.
    maxPayloadLength: options.maxFrameBytes * 2,
    maxBackpressure: options.maxQueuedBytes,
    idleTimeout: options.idleTimeout,
    sendPingsAutomatically: false,
    upgrade: (res, req, context) => handshake(res, req, options, context),
    open: (socket) =>
      guarded(socket, (connection) => {
        connection.slot = heartbeat.add(connection);
        connection.onOpen(socket);
      }),
    message: (socket, message, isBinary) =>
      guarded(socket, (connection) => connection.onMessage(message, isBinary)),
    ping: (socket) => guarded(socket, (connection) => connection.conversation.controlFrame()),
    pong: (socket) => guarded(socket, (connection) => connection.onPong()),
    // Not guarded: it may not close the socket, see `fellBehind`.
    dropped: (socket) => socket.getUserData().connection.onDropped(),
    drain: (socket) => guarded(socket, (connection) => connection.onDrain()),
    close: (socket, code) =>
      guarded(socket, (connection) => {
        heartbeat.remove(connection, connection.slot);
        connection.onClose(code);
      }),
  });
  // What has no key of 24 characters is no handshake to uWebSockets.js and arrives here.
  app.get("/ws", (res, req) => handshake(res, req, options));
}

/**
 * With `context` the request can become a WebSocket. Without, the same checks give the same answers, and 426 when it
 * would have been accepted: a browser never sees why a handshake was refused, so this is how a client asks.
 */
function handshake(
  res: HttpResponse,
  req: HttpRequest,
  options: WebSocketOptions,
  context?: us_socket_context_t,
): void {
  const head = readHead(res, req, options.trustedProxies);
  const key = req.getHeader("sec-websocket-key");
  const isUpgrade = context !== undefined || req.getHeader("upgrade") !== "";
  let protocol: Subprotocol | undefined;
  let initial: Subscribe[] = [];
  /** Answered, upgraded or aborted: `res` must not be touched. */
  let over = false;
  const refuse = (error: unknown) => {
    if (over) return;
    over = true;
    refuseHandshake(res, head, error, options, isUpgrade);
  };
  const accept = (identity: Identity | undefined) => {
    if (over) return;
    if (!context) throw new RequestError("upgrade_required");
    upgrade(res, key, { identity, protocol, initial }, options, context);
    over = true;
  };
  try {
    if (isUpgrade) checkForm(req);
    protocol = choose(head.protocols);
    initial = initialOf(head);
    const admitted = admit(head, options.rules);
    // At once where possible: an upgrade outside this callback has had bugs of its own in uWebSockets (#1929).
    if (!(admitted instanceof Promise)) return accept(admitted);
    res.onAborted(() => {
      over = true;
    });
    admitted
      .then((found) => {
        checkAgain(options.rules, found);
        accept(found);
      })
      .catch(refuse);
  } catch (error) {
    refuse(error);
  }
}

/** What a handshake has agreed on. */
interface Handshake {
  readonly identity: Identity | undefined;
  readonly protocol: Subprotocol | undefined;
  readonly initial: readonly Subscribe[];
}

function upgrade(
  res: HttpResponse,
  key: string,
  { identity, protocol, initial }: Handshake,
  options: WebSocketOptions,
  context: us_socket_context_t,
): void {
  const { maxFrameBytes, topics, counts } = options;
  const binary = protocol === "tidegate.v1.binary";
  const connection = new WebSocketConnection(options.connectionId(), binary, maxFrameBytes, topics, counts);
  connection.conversation = new Conversation(options.conversation, connection, identity, initial);
  // No extensions: compression costs memory per connection, and mixes secrets with other people's text.
  const userData: UserData = { connection };
  res.upgrade(userData, key, protocol ?? "", "", context);
}

/** `?channel=…`, many times: from now on, or from where `?cursor=` of an event stream was. @throws {RequestError} bad_since */
function initialOf({ query }: RequestHead): Subscribe[] {
  const asked = query.getAll("channel");
  const cursor = query.get("cursor");
  if (!cursor) return asked.map((channel) => ({ channel, start: undefined }));
  const channels = [...new Set(asked)];
  const marks = parseCursor(cursor, channels);
  if (!marks)
    throw new RequestError("bad_since", "query `cursor` is that of an event stream of these channels");
  return channels.map((channel, i) => ({ channel, start: marks[i] && { mark: marks[i] } }));
}

function refuseHandshake(
  res: HttpResponse,
  head: RequestHead,
  error: unknown,
  options: WebSocketOptions,
  isUpgrade: boolean,
): void {
  const { log, hints, rules, refused, conversation } = options;
  if (error instanceof RequestError) {
    // 426 is the good answer to a client that asks why its handshakes fail.
    const level = error.code === "upgrade_required" && !isUpgrade ? "debug" : "info";
    conversation.refusals.log(error, asker(head), level);
    refused(error.code);
  } else {
    log.error({ err: error }, "a handshake failed");
    refused("internal");
  }
  write(res, withCors(problemOf(error, hints), head, rules.origins));
}
