import type { Identity } from "../auth/identity.ts";
import { isOriginAllowed, type OriginRule } from "../auth/origin.ts";
import { RequestError } from "../protocol/codes.ts";
import { SUBPROTOCOLS, type Subprotocol } from "../protocol/frames.ts";
import { tokenOf } from "./credential.ts";
import type { HandshakeRate } from "./handshake-rate.ts";
import type { RequestHead } from "./request.ts";
import type { HttpRequest } from "./uws.ts";

export interface HandshakeRules {
  readonly origins: OriginRule;
  readonly cookieName: string | undefined;
  readonly rate: HandshakeRate;
  /** 0: no limit. */
  readonly maxConnections: number;
  readonly connections: () => number;
  readonly draining: () => boolean;
  verify(token: string): Identity | Promise<Identity>;
  /** @throws {RequestError} too_many_connections */
  checkUser(user: string): void;
}

/** A handshake that may go on. */
export interface Admitted {
  /** Undefined: `auth` has to be the first frame. */
  readonly identity: Identity | undefined;
  /** Undefined: the client offered none, which means v1. */
  readonly protocol: Subprotocol | undefined;
}

/**
 * All that is asked of a handshake but its form, in the order from cheap to dear. The answer is immediate unless a
 * signing key has to be fetched.
 * @throws {RequestError}
 */
export function admit(head: RequestHead, rules: HandshakeRules): Admitted | Promise<Admitted> {
  checkRoom(rules);
  const { rate } = rules;
  if (!rate.take()) throw new RequestError("handshake_rate", `the limit is ${rate.perSecond} a second`);
  checkOrigin(head, rules.origins);
  const protocol = choose(head.protocols);
  const token = tokenOf(head, rules.cookieName);
  if (token === undefined) return { identity: undefined, protocol };
  const known = (identity: Identity): Admitted => {
    rules.checkUser(identity.user);
    return { identity, protocol };
  };
  const identity = rules.verify(token);
  return identity instanceof Promise ? identity.then(known) : known(identity);
}

/** @throws {RequestError} shutting_down, over_capacity */
export function checkRoom({ draining, maxConnections, connections }: HandshakeRules): void {
  if (draining()) throw new RequestError("shutting_down");
  if (maxConnections > 0 && connections() >= maxConnections) {
    throw new RequestError("over_capacity", `the limit is ${maxConnections} connections`);
  }
}

/** @throws {RequestError} origin_not_allowed */
export function checkOrigin({ origin, ownOrigin }: RequestHead, rule: OriginRule): void {
  if (origin !== undefined && !isOriginAllowed(rule, origin, ownOrigin))
    throw new RequestError("origin_not_allowed");
}

/**
 * The first known one of the offer; a token among them is never it, so that it is never echoed. A browser that
 * offered a token alone would drop the connection, because nothing was chosen: it is told instead.
 */
function choose(offer: readonly string[]): Subprotocol | undefined {
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
