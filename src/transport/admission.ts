import type { Identity } from "../auth/identity.ts";
import { isOriginAllowed, type OriginRule } from "../auth/origin.ts";
import { RequestError } from "../protocol/codes.ts";
import { tokenOf } from "./credential.ts";
import type { HandshakeRate } from "./handshake-rate.ts";
import type { RequestHead } from "./request.ts";

export interface AdmissionRules {
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

/**
 * Who comes in to stay, by a handshake or for a stream, in the order from cheap to dear. The answer is immediate unless a
 * signing key has to be fetched; undefined: whoever it is has not said so.
 * @throws {RequestError}
 */
export function admit(head: RequestHead, rules: AdmissionRules): Identity | undefined | Promise<Identity> {
  checkRoom(rules);
  const { rate } = rules;
  if (!rate.take()) throw new RequestError("handshake_rate", `the limit is ${rate.perSecond} a second`);
  checkOrigin(head, rules.origins);
  const token = tokenOf(head, rules.cookieName);
  if (token === undefined) return undefined;
  const known = (identity: Identity): Identity => {
    rules.checkUser(identity.user);
    return identity;
  };
  const identity = rules.verify(token);
  return identity instanceof Promise ? identity.then(known) : known(identity);
}

/** @throws {RequestError} shutting_down, over_capacity */
function checkRoom({ draining, maxConnections, connections }: AdmissionRules): void {
  if (draining()) throw new RequestError("shutting_down");
  if (maxConnections > 0 && connections() >= maxConnections) {
    throw new RequestError("over_capacity", `the limit is ${maxConnections} connections`);
  }
}

/** Others came while a key was fetched, or channels were subscribed. @throws {RequestError} as `admit` */
export function checkAgain(rules: AdmissionRules, identity: Identity | undefined): void {
  checkRoom(rules);
  if (identity) rules.checkUser(identity.user);
}

/** @throws {RequestError} origin_not_allowed */
export function checkOrigin({ origin, ownOrigin }: RequestHead, rule: OriginRule): void {
  if (origin !== undefined && !isOriginAllowed(rule, origin, ownOrigin))
    throw new RequestError("origin_not_allowed");
}
