import type { Identity } from "../auth/identity.ts";
import { TokenError } from "../auth/token.ts";
import { isChannel } from "../protocol/channel.ts";
import { type CloseReason, RequestError } from "../protocol/codes.ts";
import { type Command, CommandError, type Publish, type Ref, type Subscribe } from "../protocol/commands.ts";
import { type LossReason, type ServerFrame, withId, withRef } from "../protocol/frames.ts";
import type { JsonLimits } from "../protocol/json.ts";
import { decodeCommand, refOf } from "../schema/decode.ts";
import { ChannelOrder, MAX_UNDER_WAY } from "./channel-order.ts";
import type { Connection } from "./connection.ts";
import { type History, historyMembers } from "./history.ts";
import { readMembers } from "./presence.ts";
import { type Publisher, publishedMembers } from "./publisher.ts";
import { Rate } from "./rate.ts";
import { Session, type SessionContext } from "./session.ts";
import { type Begun, resumedMembers } from "./subscriptions.ts";

/** What all conversations of a node share. */
export interface ConversationContext extends SessionContext {
  readonly publisher: Publisher;
  readonly history: History;
  readonly counts: ConversationCounts;
  /** @throws {RequestError} token_invalid, token_expired, auth_unavailable */
  verify(token: string): Identity | Promise<Identity>;
  readonly node: string;
  readonly heartbeatMs: number;
  readonly maxFrameBytes: number;
  readonly jsonLimits: JsonLimits;
  /** 0: no limit. */
  readonly commandRate: number;
  /** How long a client that was cut off waits before it comes back, so that a node's death makes no storm. */
  readonly reconnectMs: { readonly min: number; readonly max: number };
}

export interface ConversationCounts {
  command(type: string): void;
  /** `resumed`, or why not. */
  resume(result: "resumed" | LossReason): void;
}

/** A client may pipeline for this many seconds at its rate. */
const BURST_SECONDS = 4;
const FEATURES = ["publish", "binary", "history", "resume"];

/**
 * The frames that one client and its node exchange: commands, and their answers.
 *
 * Commands are carried out side by side, but those for one channel in the order sent, and all that follow an
 * `auth` after it.
 */
export class Conversation {
  readonly #context: ConversationContext;
  readonly #connection: Connection;
  readonly #session: Session;
  readonly #rate: Rate;
  readonly #order = new ChannelOrder();
  /** Set while `auth` is under way: what came behind it. */
  #behindAuth: Command[] | undefined;
  /** Of `?channel=`: to be subscribed as soon as somebody is there. */
  #initial: readonly Subscribe[];

  constructor(
    context: ConversationContext,
    connection: Connection,
    identity: Identity | undefined,
    initial: readonly Subscribe[],
  ) {
    this.#context = context;
    this.#connection = connection;
    this.#session = new Session(context, connection, identity);
    this.#initial = initial;
    this.#rate = new Rate(context.commandRate, context.commandRate * BURST_SECONDS);
  }

  /** The connection is open: nothing is sent before this. */
  begin(): void {
    this.#session.begin();
    const { user, expiresIn } = this.#session;
    const { node, heartbeatMs, maxFrameBytes, maxChannels, commandRate } = this.#context;
    this.#connection.send({
      type: "welcome",
      connection: this.#connection.id,
      node,
      user,
      expires_in: expiresIn,
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
      return this.#session.refuse(error, error instanceof CommandError ? error.ref : undefined);
    }
    this.#context.counts.command(command.type);
    if (!this.#behindAuth) this.#run(command);
    else if (this.#behindAuth.length < MAX_UNDER_WAY) this.#behindAuth.push(command);
    else this.#session.refuse(new RequestError("command_rate"), command.ref);
  }

  /** A frame that is none. */
  reject(error: RequestError): void {
    if (this.#mayCommand("")) this.#session.refuse(error, undefined);
  }

  /** A ping or an unasked pong of the WebSocket protocol. Costs as much as a command, or a flood of them would be free. */
  controlFrame(): void {
    if (!this.#rate.take() && this.#isFlooding) this.#session.close("command_rate");
  }

  get #isFlooding(): boolean {
    return this.#rate.refused > this.#context.commandRate * BURST_SECONDS;
  }

  /** Over the rate it is told so; going on like that after a burst of answers ends it. */
  #mayCommand(text: string): boolean {
    const { commandRate } = this.#context;
    if (this.#rate.take()) return true;
    if (this.#isFlooding) this.#session.close("command_rate");
    else
      this.#session.refuse(
        new RequestError("command_rate", `the limit is ${commandRate} a second`),
        refOf(text),
      );
    return false;
  }

  handOver(graceMs: number, reconnectInMs: number): void {
    this.#session.handOver(graceMs, reconnectInMs);
  }

  /** @param goodbye the client closed it, and was not cut off */
  end(goodbye = false): void {
    this.#session.end(goodbye);
  }

  #run(command: Command): void {
    if (command.type === "auth") return this.#authenticate(command.token, command.ref);
    if (command.type === "ping") return this.#connection.send({ type: "pong", ...withRef(command.ref) });
    const { identity } = this.#session;
    if (!identity) return this.#session.refuse(new RequestError("auth_required"), command.ref);
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
      this.#order.run(channel, work, (error) => this.#session.refuse(error, ref, channel));
    } catch (error) {
      this.#session.refuse(error, ref);
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
      return this.#session.refuse(new RequestError("too_many_channels", `the limit is ${maxChannels}`), ref);
    }
    this.#rate.charge(Math.max(0, channels.length - 1));
    for (const { channel, start } of channels) {
      const confirm = (begun: Begun) => {
        if (start) this.#context.counts.resume(begun.lost ?? "resumed");
        answer({ type: "subscribed", channel, ...withId(begun.position), ...resumedMembers(begun) });
      };
      const authorised = () => this.#session.authorise("subscribe", channel);
      this.#inOrder(channel, ref, async () => {
        if (!this.#session.ended) await this.#session.subscriptions.add(channel, start, authorised, confirm);
      });
    }
  }

  /** @param membersOf the frame's further members */
  #read(
    { type, channel, ref }: { type: string; channel: string; ref: Ref | undefined },
    membersOf: (identity: Identity) => Promise<string>,
  ): void {
    this.#inOrder(channel, ref, async () => {
      if (this.#session.ended) return;
      const members = await membersOf(this.#session.identity as Identity);
      if (this.#session.ended || ref === undefined) return;
      const head = `"type":"${type}","ref":${JSON.stringify(ref)},"channel":"${channel}"`;
      this.#connection.sendText(`{${head},${members}}`);
    });
  }

  #unsubscribe(channel: string, ref: Ref | undefined): void {
    if (this.#session.ended) return;
    this.#session.subscriptions.remove(channel);
    this.#reply(ref, { type: "unsubscribed", channel });
  }

  #publish({ ref, eventType, data, echo, sender, key, traceparent, ...command }: Publish): void {
    const channel = command.channel ?? this.#session.subscriptions.only;
    if (channel === undefined) return this.#session.refuse(new RequestError("channel_required"), ref);
    this.#inOrder(channel, ref, async () => {
      if (this.#session.ended) return;
      const except = echo ? undefined : this.#connection.id;
      const event = { channel, type: eventType, data, sender, except, key, traceparent };
      const published = await this.#context.publisher.publish(this.#session.identity as Identity, event);
      if (ref !== undefined && !this.#session.ended)
        this.#connection.send({ type: "published", ref, channel, ...publishedMembers(published) });
    });
  }

  /** The first token of the connection, or a fresh one for the user that it has. */
  #authenticate(token: string, ref: Ref | undefined): void {
    this.#behindAuth = [];
    const accepted = async () => this.#become(await this.#context.verify(token), ref);
    accepted()
      .catch((error: unknown) => {
        this.#session.refuse(error, ref);
        if (!this.#session.identity) this.#session.close(closeReasonOf(error));
      })
      .finally(() => {
        const waiting = this.#behindAuth ?? [];
        this.#behindAuth = undefined;
        if (!this.#session.ended) for (const command of waiting) this.#receiveWaiting(command);
      });
  }

  /** Another `auth` among those that waited makes the rest wait again. */
  #receiveWaiting(command: Command): void {
    if (this.#behindAuth) this.#behindAuth.push(command);
    else this.#run(command);
  }

  #become(identity: Identity, ref: Ref | undefined): void {
    if (this.#session.ended) return;
    this.#session.become(identity);
    const { user } = identity;
    const expires_in = this.#session.expiresIn as number;
    this.#connection.send({ type: "authenticated", ...withRef(ref), user, expires_in });
    this.#session.leaveForbidden();
    this.#subscribeInitial();
  }

  #subscribeInitial(): void {
    if (!this.#session.identity) return;
    const initial = this.#initial;
    this.#initial = [];
    const wanted = initial.filter(({ channel }) => isChannel(channel));
    if (wanted.length < initial.length) this.#session.refuse(new RequestError("bad_channel"), undefined);
    this.#subscribeAll(wanted, undefined, (frame) => this.#connection.send(frame));
  }

  #reply(ref: Ref | undefined, frame: ServerFrame): void {
    if (ref !== undefined) this.#connection.send({ ...frame, ref } as ServerFrame);
  }
}

function closeReasonOf(error: unknown): CloseReason {
  if (error instanceof RequestError && error.code === "too_many_connections") return error.code;
  return error instanceof TokenError ? error.code : "internal";
}
