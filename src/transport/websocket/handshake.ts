import { RequestError } from "../../protocol/codes.ts";
import { SUBPROTOCOLS, type Subprotocol } from "../../protocol/frames.ts";
import type { HttpRequest } from "../uws.ts";

/**
 * The first known one of the offer; a token among them is never it, so that it is never echoed. A browser that
 * offered a token alone would drop the connection, because nothing was chosen: it is told instead.
 * @returns undefined: none was offered, which means v1 @throws {RequestError} bad_subprotocol
 */
export function choose(offer: readonly string[]): Subprotocol | undefined {
  const known = offer.find((protocol): protocol is Subprotocol =>
    SUBPROTOCOLS.includes(protocol as Subprotocol),
  );
  if (known === undefined && offer.length > 0) {
    throw new RequestError("bad_subprotocol", "offer `tidegate.v1`, also beside `bearer.<token>`");
  }
  return known;
}

/**
 * RFC 6455 4.2.1, of which uWebSockets.js checks the length of the key and nothing else.
 * @throws {RequestError} bad_handshake, or upgrade_required for another version
 */
export function checkForm(req: HttpRequest): void {
  const wrong = (what: string) => new RequestError("bad_handshake", what);
  if (!hasToken(req.getHeader("upgrade"), "websocket")) throw wrong("header `Upgrade` contains `websocket`");
  if (!hasToken(req.getHeader("connection"), "upgrade"))
    throw wrong("header `Connection` contains `Upgrade`");
  if (!req.getHeader("host")) throw wrong("header `Host` is required");
  if (req.getHeader("sec-websocket-version") !== "13") {
    throw new RequestError("upgrade_required", "header `Sec-WebSocket-Version` is 13");
  }
  const key = req.getHeader("sec-websocket-key");
  // 16 bytes in base64: 22 characters, of which the last carries 2 bits, and the padding.
  if (!/^[A-Za-z0-9+/]{21}[AQgw]==$/.test(key))
    throw wrong("header `Sec-WebSocket-Key` is 16 bytes in base64");
  const length = req.getHeader("content-length");
  if ((length !== "" && length !== "0") || req.getHeader("transfer-encoding") !== "")
    throw wrong("a handshake has no body");
}

function hasToken(header: string, token: string): boolean {
  return header.split(",").some((item) => item.trim().toLowerCase() === token);
}
