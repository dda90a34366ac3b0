import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import type { Haproxy, Stage } from "./servers.ts";

/** An HTTP/2 connection over TLS, given up with the stage. */
export function http2(stage: Stage, haproxy: Haproxy, ca: Buffer): ClientHttp2Session {
  const session = connect(haproxy.httpsUrl, { ca });
  stage.add({ stop: () => session.destroy() });
  return session;
}

/** A WebSocket within one HTTP/2 connection (RFC 8441), once the server has said that it takes them. */
export function webSocketStream(
  session: ClientHttp2Session,
  haproxy: Haproxy,
  headers: Record<string, string>,
): ClientHttp2Stream {
  return session.request({
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":scheme": "https",
    ":authority": `127.0.0.1:${haproxy.httpsPort}`,
    ":path": "/ws",
    "sec-websocket-version": "13",
    ...headers,
  });
}
