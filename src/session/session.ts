import type { Logger } from "pino";
import { type Grant, may } from "../auth/grants.ts";
import type { Identity } from "../auth/identity.ts";
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
} from "../protocol/commands.ts";
import type { ServerFrame } from "../protocol/frames.ts";
import type { Connection } from "./connection.ts";
import type { Deadlines, Mortal } from "./deadlines.ts";
import { authorise, type Publisher } from "./publisher.ts";
import { Rate } from "./rate.ts";
import { isDenial, logRefusal } from "./refusal.ts";
import type { Sessions, Subscriber } from "./sessions.ts";
import { Subscriptions } from "./subscriptions.ts";

/** What all sessions of a node share. */
export interface SessionContext {
  readonly hub: Hub;
  readonly sessions: Sessions;
  readonly publisher: Publisher;
  readonly deadlines: Deadlines;
  readonly rules: readonly Grant[];
  readonly log: Logger;
  readonly counts: SessionCounts;
  /** @throws {RequestError} token_invalid, token_expired, auth_unavailable */
  verify(token: string): Identity | Promise<Identity>;
  readonly node: string;
  readonly authTimeoutMs: number;
  readonly heartbeatMs: number;
  readonly maxFrameBytes: number;
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
}

/** A client may pipeline for this many seconds at its rate. */
const BURST_SECONDS = 4;
/** Commands of one session under way at the backplane, and waiting behind an `auth`. */
const MAX_UNDER_WAY = 2_000;
const FEATURES = ["publish", "binary"];

/**
 * One client's conversation: who it is, what it is subscribed to, what it asks for.
 *
 * Commands are carried out side by side, but those for one channel in the order sent, and all that follow an
 * `auth` after it.
 */
export class Session implements Mortal, Subscriber {
  readonly #context: SessionContext;
  readonly #connection: Connection;
  readonly #rate: Rate;
  #identity: Identity | undefined;
  #deadline: number;
  #ended = false;
  readonly #subscriptions: Subscriptions;
  /** Channels with commands under way: the last of them. */
  #tails: Map<string, Promise<void>> | undefined;
  #underWay = 0;
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
    this.#subscriptions = new Subscriptions(context.hub, connection, context.maxChannels);
    this.#rate = new Rate(context.commandRate, context.commandRate * BURST_SECONDS);
    this.#deadline = context.deadlines.set(this, identity?.expiresAt ?? Date.now() + context.authTimeoutMs);
  }

  /** The connection is open: nothing is sent before this. */
  begin(): void {
    this.#context.sessions.add(this);
    const { node, heartbeatMs, maxFrameBytes, maxChannels, commandRate } = this.#context;
    this.#connection.send({
      type: "welcome",
      connection: this.#connection.id,
      node,
      user: this.#identity?.user ?? null,
      expires_in: this.#identity ? expiresIn(this.#identity) : null,
      heartbeat: heartbeatMs,
      limits: { frame_bytes: maxFrameBytes, channels: maxChannels, commands_per_second: commandRate },
      features: FEATURES,
      reconnect: this.#context.reconnectMs,
    });
    this.#subscribeInitial();
  }

  /** A complete frame of the client; with `payload`, the JSON part of a binary one. */
  receive(text: string, payload?: Uint8Array): void {
    let command: Command;
    try {
      if (!this.#mayCommand(text)) return;
      command = decodeCommand(text, payload);
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

  /** Over the rate it is told so; going on like that after a burst of answers ends it. */
  #mayCommand(text: string): boolean {
    const { commandRate } = this.#context;
    if (this.#rate.take()) return true;
    if (this.#rate.refused > commandRate * BURST_SECONDS) this.#close("command_rate");
    else this.#refuse(new RequestError("command_rate", `the limit is ${commandRate} a second`), refOf(text));
    return false;
  }

  interrupted(): void {
    this.#connection.send(
      ...[...this.#subscriptions].map(
        (channel): ServerFrame => ({ type: "subscribed", channel, resumed: false, reason: "history_lost" }),
      ),
    );
  }

  /** The connection is gone. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#context.deadlines.cancel(this, this.#deadline);
    this.#context.sessions.delete(this);
    this.#subscriptions.end();
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
    this.#tails ??= new Map();
    const tails = this.#tails;
    if (this.#underWay >= MAX_UNDER_WAY)
      return this.#refuse(new RequestError("command_rate", undefined, { channel }), ref);
    this.#underWay++;
    const before = tails.get(channel);
    const run = before ? before.then(work) : work();
    const tail: Promise<void> = run
      .catch((error: unknown) => this.#refuse(error, ref, channel))
      .finally(() => {
        this.#underWay--;
        if (tails.get(channel) === tail) tails.delete(channel);
        // The map of a session that once had many would stay as large as it was.
        if (tails.size === 0 && this.#tails === tails) this.#tails = undefined;
      });
    tails.set(channel, tail);
  }

  /** Each channel costs as a command: a thousand in one frame are no cheaper than in a thousand. */
  #subscribeAll(
    channels: readonly string[],
    ref: Ref | undefined,
    answer: (frame: ServerFrame) => void,
  ): void {
    const { maxChannels } = this.#context;
    if (maxChannels > 0 && channels.length > maxChannels) {
      return this.#refuse(new RequestError("too_many_channels", `the limit is ${maxChannels}`), ref);
    }
    this.#rate.charge(Math.max(0, channels.length - 1));
    for (const channel of channels) {
      const confirm = () => answer({ type: "subscribed", channel });
      this.#inOrder(channel, ref, () => this.#subscribe(channel, confirm));
    }
  }

  async #subscribe(channel: string, confirm: () => void): Promise<void> {
    if (this.#ended) return;
    const authorised = () => authorise(this.#identity as Identity, "subscribe", channel, this.#context.rules);
    await this.#subscriptions.add(channel, authorised, confirm);
  }

  #unsubscribe(channel: string, ref: Ref | undefined): void {
    if (this.#ended) return;
    this.#subscriptions.remove(channel);
    this.#reply(ref, { type: "unsubscribed", channel });
  }

  #publish({ ref, eventType, data, echo, sender, ...command }: Publish): void {
    const channel = command.channel ?? this.#subscriptions.only;
    if (channel === undefined) return this.#refuse(new RequestError("channel_required"), ref);
    this.#inOrder(channel, ref, async () => {
      if (this.#ended) return;
      const except = echo ? undefined : this.#connection.id;
      const event = { channel, type: eventType, data, sender, except };
      const listeners = await this.#context.publisher.publish(this.#identity as Identity, event);
      if (ref !== undefined && !this.#ended)
        this.#connection.send({ type: "published", ref, channel, listeners });
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
    this.#subscribeAll(channels.filter(isChannel), undefined, (frame) => this.#connection.send(frame));
  }

  #reply(ref: Ref | undefined, frame: ServerFrame): void {
    if (ref !== undefined) this.#connection.send({ ...frame, ref } as ServerFrame);
  }

  #refuse(error: unknown, ref: Ref | undefined, channel?: string): void {
    if (this.#ended) return;
    const { log, counts, hints } = this.#context;
    const about = { connection: this.#connection.id, user: this.#identity?.user };
    if (!(error instanceof RequestError)) {
      log.error({ ...about, channel, err: error }, "a command failed");
      return this.#close("internal");
    }
    const { code, message, help } = error;
    counts.commandError(code);
    const named = error.channel ?? channel;
    logRefusal(log, isDenial(error) ? "info" : "debug", error, about);
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
  return error instanceof TokenError ? error.code : "internal";
}

function expiresIn(identity: Identity): number {
  return Math.max(0, Math.round(identity.expiresAt - Date.now()));
}

function withRef(ref: Ref | undefined): { ref?: Ref } {
  return ref === undefined ? {} : { ref };
}
