import type { Logger } from "pino";
import { type Grant, may } from "../auth/grants.ts";
import type { Identity } from "../auth/identity.ts";
import { ends, type Revocation } from "../auth/revocations.ts";
import { TokenError } from "../auth/token.ts";
import type { Hub } from "../hub/hub.ts";
import { isChannel } from "../protocol/channel.ts";
import { type CloseReason, CODES, type Code, RequestError } from "../protocol/codes.ts";
import {
  type Command,
  CommandError,
  decodeCommand,
  type Publish,
  type Ref,
  refOf,
  type Subscribe,
} from "../protocol/commands.ts";
import { type LossReason, type ServerFrame, withId } from "../protocol/frames.ts";
import type { JsonLimits } from "../protocol/json.ts";
import { ChannelOrder, MAX_UNDER_WAY } from "./channel-order.ts";
import type { Connection } from "./connection.ts";
import type { Deadlines, Mortal } from "./deadlines.ts";
import { type History, historyMembers } from "./history.ts";
import { type Presence, readMembers } from "./presence.ts";
import { authorise, type Publisher, publishedMembers } from "./publisher.ts";
import { Rate } from "./rate.ts";
import type { Refusals } from "./refusals.ts";
import type { Registered, Sessions } from "./sessions.ts";
import { type Begun, resumedMembers, type SubscriptionListener, Subscriptions } from "./subscriptions.ts";
import type { Counted, Users } from "./users.ts";

/** What all sessions of a node share. */
export interface SessionContext {
  readonly hub: Hub;
  readonly sessions: Sessions;
  readonly users: Users;
  readonly publisher: Publisher;
  readonly history: History;
  /** Undefined: no channel has any. */
  readonly presence?: Presence | undefined;
  readonly deadlines: Deadlines;
  readonly rules: readonly Grant[];
  readonly log: Logger;
  readonly refusals: Refusals;
  readonly counts: SessionCounts;
  /** @throws {RequestError} token_invalid, token_expired, auth_unavailable */
  verify(token: string): Identity | Promise<Identity>;
  readonly node: string;
  readonly authTimeoutMs: number;
  readonly heartbeatMs: number;
  readonly maxFrameBytes: number;
  readonly jsonLimits: JsonLimits;
  /** 0: no limit. */
  readonly maxChannels: number;
  /** 0: no limit. */
  readonly commandRate: number;
  /** How long a client that was cut off waits before it comes back, so that a node's death makes no storm. */
  readonly reconnectMs: { readonly min: number; readonly max: number };
  /** In development mode a denial tells the client what would have helped. */
  readonly hints: boolean;
}

export interface SessionCounts {
  command(type: string): void;
  commandError(code: Code): void;
  /** `resumed`, or why not. */
  resume(result: "resumed" | LossReason): void;
}

/** A client may pipeline for this many seconds at its rate. */
const BURST_SECONDS = 4;
const FEATURES = ["publish", "binary", "history", "resume"];

/**
 * One client's conversation: who it is, what it is subscribed to, what it asks for.
 *
 * Commands are carried out side by side, but those for one channel in the order sent, and all that follow an
 * `auth` after it.
 */
export class Session implements Mortal, Registered, Counted, SubscriptionListener {
  readonly #context: SessionContext;
  readonly #connection: Connection;
  readonly #rate: Rate;
  #identity: Identity | undefined;
  readonly #openedAt = Date.now();
  #deadline: number;
  #ended = false;
  readonly #subscriptions: Subscriptions;
  readonly #order = new ChannelOrder();
  /** Set while `auth` is under way: what came behind it. */
  #behindAuth: Command[] | undefined;
  /** Of `?channel=`: to be subscribed as soon as somebody is there. */
  #initial: readonly string[];

  constructor(
    context: SessionContext,
    connection: Connection,
    identity: Identity | undefined,
    channels: readonly string[],
  ) {
    this.#context = context;
    this.#connection = connection;
    this.#identity = identity;
    this.#initial = channels;
    this.#subscriptions = new Subscriptions(context.hub, connection, context.maxChannels, this);
    this.#rate = new Rate(context.commandRate, context.commandRate * BURST_SECONDS);
    this.#deadline = context.deadlines.set(this, identity?.expiresAt ?? Date.now() + context.authTimeoutMs);
  }

  /** The connection is open: nothing is sent before this. */
  begin(): void {
    this.#context.sessions.add(this);
    if (this.#identity) this.#context.users.add(this.#identity.user, this);
    const { node, heartbeatMs, maxFrameBytes, maxChannels, commandRate } = this.#context;
    this.#connection.send({
      type: "welcome",
      connection: this.#connection.id,
      node,
      user: this.#identity?.user ?? null,
      expires_in: this.#identity ? expiresIn(this.#identity) : null,
      heartbeat: heartbeatMs,
      limits: { frame_bytes: maxFrameBytes, channels: maxChannels, commands_per_second: commandRate },
      features: this.#context.presence ? [...FEATURES, "presence"] : FEATURES,
      reconnect: this.#context.reconnectMs,
    });
    this.#subscribeInitial();
  }

  /** A complete frame of the client; with `payload`, the JSON part of a binary one. */
  receive(text: string, payload?: Uint8Array): void {
    let command: Command;
    try {
      if (!this.#mayCommand(text)) return;
      command = decodeCommand(text, this.#context.jsonLimits, payload);
    } catch (error) {
      return this.#refuse(error, error instanceof CommandError ? error.ref : undefined);
    }
    this.#context.counts.command(command.type);
    if (!this.#behindAuth) this.#run(command);
    else if (this.#behindAuth.length < MAX_UNDER_WAY) this.#behindAuth.push(command);
    else this.#refuse(new RequestError("command_rate"), command.ref);
  }

  /** A frame that is none. */
  reject(error: RequestError): void {
    if (this.#mayCommand("")) this.#refuse(error, undefined);
  }

  /** A ping or an unasked pong of the WebSocket protocol. Costs as much as a command, or a flood of them would be free. */
  controlFrame(): void {
    if (!this.#rate.take() && this.#isFlooding) this.#close("command_rate");
  }

  get #isFlooding(): boolean {
    return this.#rate.refused > this.#context.commandRate * BURST_SECONDS;
  }

  /** Over the rate it is told so; going on like that after a burst of answers ends it. */
  #mayCommand(text: string): boolean {
    const { commandRate } = this.#context;
    if (this.#rate.take()) return true;
    if (this.#isFlooding) this.#close("command_rate");
    else this.#refuse(new RequestError("command_rate", `the limit is ${commandRate} a second`), refOf(text));
    return false;
  }

  obey(revocation: Revocation): void {
    if (!this.#identity || !ends(revocation, this.#identity, this.#openedAt)) return;
    this.#close("openedBefore" in revocation ? "disconnected" : "token_revoked");
  }

  onTooMany(): void {
    this.#refuse(this.#context.users.tooMany(), undefined);
    this.#close("too_many_connections");
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
    this.#subscriptions.end(goodbye);
  }

  subscribed(channel: string): void {
    this.#context.presence?.enter(channel, this.#identity as Identity);
  }

  unsubscribed(channel: string, goodbye: boolean): void {
    this.#context.presence?.leave(channel, this.#identity as Identity, goodbye);
  }

  onDeadline(): void {
    this.#close(this.#identity ? "token_expired" : "auth_timeout");
  }

  #close(reason: CloseReason): void {
    this.#connection.close(reason);
  }

  #run(command: Command): void {
    if (command.type === "auth") return this.#authenticate(command.token, command.ref);
    if (command.type === "ping") return this.#connection.send({ type: "pong", ...withRef(command.ref) });
    const identity = this.#identity;
    if (!identity) return this.#refuse(new RequestError("auth_required"), command.ref);
    switch (command.type) {
      case "subscribe":
        return this.#subscribeAll(command.channels, command.ref, (frame) => this.#reply(command.ref, frame));
      case "history":
        return this.#read(command, async (who) =>
          historyMembers(await this.#context.history.read(who, command.channel, command.query)),
        );
      case "presence":
        return this.#read(command, (who) =>
          readMembers(this.#context.presence, who, command.channel, command.query),
        );
      case "unsubscribe":
        return this.#inOrder(command.channel, command.ref, async () =>
          this.#unsubscribe(command.channel, command.ref),
        );
      case "publish":
        return this.#publish(command);
    }
  }

  /** Runs `work` after all that was sent before it for this channel. */
  #inOrder(channel: string, ref: Ref | undefined, work: () => Promise<void>): void {
    try {
      this.#order.run(channel, work, (error) => this.#refuse(error, ref, channel));
    } catch (error) {
      this.#refuse(error, ref);
    }
  }

  /** Each channel costs as a command: a thousand in one frame are no cheaper than in a thousand. */
  #subscribeAll(
    channels: readonly Subscribe[],
    ref: Ref | undefined,
    answer: (frame: ServerFrame) => void,
  ): void {
    const { maxChannels } = this.#context;
    if (maxChannels > 0 && channels.length > maxChannels) {
      return this.#refuse(new RequestError("too_many_channels", `the limit is ${maxChannels}`), ref);
    }
    this.#rate.charge(Math.max(0, channels.length - 1));
    for (const { channel, start } of channels) {
      const confirm = (begun: Begun) => {
        if (start) this.#context.counts.resume(begun.lost ?? "resumed");
        answer({ type: "subscribed", channel, ...withId(begun.position), ...resumedMembers(begun) });
      };
      const authorised = () =>
        authorise(this.#identity as Identity, "subscribe", channel, this.#context.rules);
      this.#inOrder(channel, ref, async () => {
        if (!this.#ended) await this.#subscriptions.add(channel, start, authorised, confirm);
      });
    }
  }

  /** @param membersOf the frame's further members */
  #read(
    { type, channel, ref }: { type: string; channel: string; ref: Ref | undefined },
    membersOf: (identity: Identity) => Promise<string>,
  ): void {
    this.#inOrder(channel, ref, async () => {
      if (this.#ended) return;
      const members = await membersOf(this.#identity as Identity);
      if (this.#ended || ref === undefined) return;
      const head = `"type":"${type}","ref":${JSON.stringify(ref)},"channel":"${channel}"`;
      this.#connection.sendText(`{${head},${members}}`);
    });
  }

  #unsubscribe(channel: string, ref: Ref | undefined): void {
    if (this.#ended) return;
    this.#subscriptions.remove(channel);
    this.#reply(ref, { type: "unsubscribed", channel });
  }

  #publish({ ref, eventType, data, echo, sender, key, ...command }: Publish): void {
    const channel = command.channel ?? this.#subscriptions.only;
    if (channel === undefined) return this.#refuse(new RequestError("channel_required"), ref);
    this.#inOrder(channel, ref, async () => {
      if (this.#ended) return;
      const except = echo ? undefined : this.#connection.id;
      const event = { channel, type: eventType, data, sender, except, key };
      const published = await this.#context.publisher.publish(this.#identity as Identity, event);
      if (ref !== undefined && !this.#ended)
        this.#connection.send({ type: "published", ref, channel, ...publishedMembers(published) });
    });
  }

  /** The first token of the connection, or a fresh one for the user that it has. */
  #authenticate(token: string, ref: Ref | undefined): void {
    this.#behindAuth = [];
    const accepted = async () => this.#become(await this.#context.verify(token), ref);
    accepted()
      .catch((error: unknown) => {
        this.#refuse(error, ref);
        if (!this.#identity) this.#close(closeReasonOf(error));
      })
      .finally(() => {
        const waiting = this.#behindAuth ?? [];
        this.#behindAuth = undefined;
        if (!this.#ended) for (const command of waiting) this.#receiveWaiting(command);
      });
  }

  /** Another `auth` among those that waited makes the rest wait again. */
  #receiveWaiting(command: Command): void {
    if (this.#behindAuth) this.#behindAuth.push(command);
    else this.#run(command);
  }

  #become(identity: Identity, ref: Ref | undefined): void {
    if (this.#ended) return;
    if (this.#identity && this.#identity.user !== identity.user) throw new RequestError("user_mismatch");
    if (!this.#identity) {
      this.#context.users.check(identity.user);
      this.#context.users.add(identity.user, this);
    }
    this.#identity = identity;
    this.#context.deadlines.cancel(this, this.#deadline);
    this.#deadline = this.#context.deadlines.set(this, identity.expiresAt);
    const { user } = identity;
    this.#connection.send({ type: "authenticated", ...withRef(ref), user, expires_in: expiresIn(identity) });
    for (const channel of this.#subscriptions) {
      if (may(identity, "subscribe", channel, this.#context.rules).allowed) continue;
      this.#subscriptions.remove(channel);
      this.#connection.send({ type: "unsubscribed", channel, code: "forbidden" });
    }
    this.#subscribeInitial();
  }

  #subscribeInitial(): void {
    if (!this.#identity) return;
    const channels = this.#initial;
    this.#initial = [];
    if (!channels.every(isChannel)) this.#refuse(new RequestError("bad_channel"), undefined);
    const wanted = channels.filter(isChannel).map((channel) => ({ channel, start: undefined }));
    this.#subscribeAll(wanted, undefined, (frame) => this.#connection.send(frame));
  }

  #reply(ref: Ref | undefined, frame: ServerFrame): void {
    if (ref !== undefined) this.#connection.send({ ...frame, ref } as ServerFrame);
  }

  #refuse(error: unknown, ref: Ref | undefined, channel?: string): void {
    if (this.#ended) return;
    const { log, refusals, counts, hints } = this.#context;
    const about = { connection: this.#connection.id, user: this.#identity?.user };
    if (!(error instanceof RequestError)) {
      log.error({ ...about, channel, err: error }, "a command failed");
      return this.#close("internal");
    }
    const { code, message, help } = error;
    counts.commandError(code);
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

function closeReasonOf(error: unknown): CloseReason {
  if (error instanceof RequestError && error.code === "too_many_connections") return error.code;
  return error instanceof TokenError ? error.code : "internal";
}

function expiresIn(identity: Identity): number {
  return Math.max(0, Math.round(identity.expiresAt - Date.now()));
}

function withRef(ref: Ref | undefined): { ref?: Ref } {
  return ref === undefined ? {} : { ref };
}
