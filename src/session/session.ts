import type { Logger } from "pino";
import { type Grant, may } from "../auth/grants.ts";
import type { Identity } from "../auth/identity.ts";
import { ends, type Revocation } from "../auth/revocations.ts";
import type { Hub } from "../hub/hub.ts";
import { type CloseReason, CODES, type Code, RequestError } from "../protocol/codes.ts";
import type { Ref } from "../protocol/commands.ts";
import { withRef } from "../protocol/frames.ts";
import type { Connection } from "./connection.ts";
import type { Deadlines, Mortal } from "./deadlines.ts";
import type { Presence } from "./presence.ts";
import { authorise } from "./publisher.ts";
import type { Refusals } from "./refusals.ts";
import type { Registered, Sessions } from "./sessions.ts";
import { type SubscriptionListener, Subscriptions } from "./subscriptions.ts";
import type { Counted, Users } from "./users.ts";

/** What all sessions of a node share, whatever their transport. */
export interface SessionContext {
  readonly hub: Hub;
  readonly sessions: Sessions;
  readonly users: Users;
  /** Undefined: no channel has any. */
  readonly presence?: Presence | undefined;
  readonly deadlines: Deadlines;
  readonly rules: readonly Grant[];
  readonly log: Logger;
  readonly refusals: Refusals;
  readonly authTimeoutMs: number;
  /** 0: no limit. */
  readonly maxChannels: number;
  /** In development mode a denial tells the client what would have helped. */
  readonly hints: boolean;
  /** A client was refused something. */
  refused(code: Code): void;
}

/** One client's stay: who it is and until when, counted among its user's, and what it is subscribed to. */
export class Session implements Mortal, Registered, Counted, SubscriptionListener {
  readonly subscriptions: Subscriptions;
  readonly #context: SessionContext;
  readonly #connection: Connection;
  readonly #openedAt = Date.now();
  #identity: Identity | undefined;
  #deadline: number;
  #ended = false;

  constructor(context: SessionContext, connection: Connection, identity: Identity | undefined) {
    this.#context = context;
    this.#connection = connection;
    this.#identity = identity;
    this.subscriptions = new Subscriptions(context.hub, connection, context.maxChannels, this);
    this.#deadline = context.deadlines.set(this, identity?.expiresAt ?? Date.now() + context.authTimeoutMs);
  }

  /** Undefined before `auth`. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** As clients are told: null before `auth`. */
  get user(): string | null {
    return this.#identity?.user ?? null;
  }

  /** Milliseconds until the token ends; null before `auth`. */
  get expiresIn(): number | null {
    return this.#identity ? Math.max(0, Math.round(this.#identity.expiresAt - Date.now())) : null;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The connection is open. */
  begin(): void {
    this.#context.sessions.add(this);
    if (this.#identity) this.#context.users.add(this.#identity.user, this);
  }

  /** The first token of the connection, or a fresh one. @throws {RequestError} user_mismatch, too_many_connections */
  become(identity: Identity): void {
    if (this.#identity && this.#identity.user !== identity.user) throw new RequestError("user_mismatch");
    if (!this.#identity) {
      this.#context.users.check(identity.user);
      this.#context.users.add(identity.user, this);
    }
    this.#identity = identity;
    this.#context.deadlines.cancel(this, this.#deadline);
    this.#deadline = this.#context.deadlines.set(this, identity.expiresAt);
  }

  /** Leaves the channels that a fresh token grants no more. */
  leaveForbidden(): void {
    for (const channel of this.subscriptions) {
      if (may(this.#identity as Identity, "subscribe", channel, this.#context.rules).allowed) continue;
      this.subscriptions.remove(channel);
      this.#connection.send({ type: "unsubscribed", channel, code: "forbidden" });
    }
  }

  /** @throws {RequestError} forbidden */
  authorise(action: Parameters<typeof may>[1], channel: string): void {
    authorise(this.#identity as Identity, action, channel, this.#context.rules);
  }

  obey(revocation: Revocation): void {
    if (!this.#identity || !ends(revocation, this.#identity, this.#openedAt)) return;
    this.close("openedBefore" in revocation ? "disconnected" : "token_revoked");
  }

  onTooMany(): void {
    this.refuse(this.#context.users.tooMany());
    this.close("too_many_connections");
  }

  /** The node stops: the client is to open its next connection, elsewhere, before this one is closed. */
  handOver(graceMs: number, reconnectInMs: number): void {
    if (this.#ended) return;
    // Nor is the next one refused because this one is still there.
    if (this.#identity) this.#context.users.remove(this.#identity.user, this);
    this.#connection.send({
      type: "closing",
      code: CODES.shutting_down.close,
      reason: "shutting_down",
      reconnect_in: reconnectInMs,
      grace: graceMs,
      fresh: true,
    });
  }

  /** @param goodbye the client closed it, and was not cut off */
  end(goodbye = false): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#identity) this.#context.users.remove(this.#identity.user, this);
    this.#context.deadlines.cancel(this, this.#deadline);
    this.#context.sessions.delete(this);
    this.subscriptions.end(goodbye);
  }

  subscribed(channel: string): void {
    this.#context.presence?.enter(channel, this.#identity as Identity);
  }

  unsubscribed(channel: string, goodbye: boolean): void {
    this.#context.presence?.leave(channel, this.#identity as Identity, goodbye);
  }

  onDeadline(): void {
    this.close(this.#identity ? "token_expired" : "auth_timeout");
  }

  close(reason: CloseReason): void {
    this.#connection.close(reason);
  }

  /** Tells the client what it is refused; a bug of ours ends its connection. */
  refuse(error: unknown, ref?: Ref, channel?: string): void {
    if (this.#ended) return;
    const { log, refusals, hints } = this.#context;
    const about = { connection: this.#connection.id, user: this.#identity?.user };
    if (!(error instanceof RequestError)) {
      log.error({ ...about, channel, err: error }, "a command failed");
      return this.close("internal");
    }
    const { code, message, help } = error;
    this.#context.refused(code);
    const named = error.channel ?? channel;
    refusals.log(error, about);
    this.#connection.send({
      type: "error",
      ...withRef(ref),
      code,
      message,
      ...(named === undefined ? {} : { channel: named }),
      temporary: CODES[code].temporary,
      ...(hints && help !== undefined ? { hint: help } : {}),
    });
  }
}
