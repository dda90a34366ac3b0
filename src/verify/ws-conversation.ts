import { formatId } from "../protocol/position.ts";
import type { Checker } from "./checker.ts";
import type { Claim } from "./claim.ts";
import { Connection, type Frame } from "./connection.ts";
import type { Conversation, ConversationOptions } from "./conversation.ts";
import { take } from "./publication.ts";
import { retryDelay } from "./retry.ts";
import type { Subscription } from "./subscription.ts";
import { Timers } from "./timers.ts";

export interface WsOptions extends ConversationOptions {
  /** `ws://…/ws` */
  readonly url: string;
  readonly maxRetryMs: number;
}

/** From the opening of a connection to the last `subscribed`. */
const READY_MS = 15_000;

/** One WebSocket of a client: it resumes all channels there, and tells the checker what comes. */
export class WsConversation implements Conversation {
  readonly #checker: Checker;
  readonly #claims: ReadonlyMap<string, Claim>;
  readonly #options: WsOptions;
  readonly #connection: Connection;
  readonly #streams = new Map<string, Subscription>();
  readonly #waiting: Set<string>;
  readonly #timers = new Timers();
  #refused = 0;
  isReady = false;
  isClosing = false;

  constructor(checker: Checker, claims: ReadonlyMap<string, Claim>, options: WsOptions) {
    this.#checker = checker;
    this.#claims = claims;
    this.#options = options;
    this.#waiting = new Set(claims.keys());
    this.#connection = new Connection({
      ...options,
      onFrame: (frame) => {
        try {
          this.#hear(frame, performance.now());
        } catch (error) {
          options.onRefused(`${(error as Error).message} in ${JSON.stringify(frame).slice(0, 200)}`);
        }
      },
      onEnd: (end) => {
        this.#endStreams();
        options.onEnd(end);
      },
    });
    this.#timers.later(READY_MS, () => {
      if (this.isReady) return;
      this.cut();
      options.onEnd({ again: true, why: `not subscribed in ${READY_MS / 1000} s` });
    });
  }

  cut(): void {
    this.#connection.cut();
    this.#endStreams();
  }

  #endStreams(): void {
    this.#timers.stop();
    for (const stream of this.#streams.values()) stream.end(performance.now());
  }

  #hear(frame: Frame, at: number): void {
    const { type, channel, id, data } = frame;
    if (frame.timestamp !== undefined) {
      const { counts } = this.#checker;
      take({ type, channel, id, data }, { streams: this.#streams, counts, run: this.#options.run, at });
      return;
    }
    if (type === "welcome") return this.#subscribe([...this.#claims.keys()]);
    if (type === "closing") return this.#closing(frame);
    if (typeof channel !== "string" || !this.#claims.has(channel)) {
      if (type === "error" && frame.temporary !== true)
        this.#options.onRefused(`${frame.code}: ${frame.message}`);
      return;
    }
    if (type === "subscribed") this.#subscribed(channel, frame, at);
    if (type === "error") this.#failed(channel, frame);
    if (type === "unsubscribed") {
      this.#streams.get(channel)?.end(at);
      this.#options.onRefused(`the node ended the subscription of ${channel}: ${frame.code}`);
    }
  }

  #subscribe(channels: readonly string[]): void {
    const wanted = channels.map((channel) => {
      const claim = this.#claims.get(channel) as Claim;
      this.#streams.set(channel, this.#checker.stream(claim));
      return { channel, ...(claim.position && { since: formatId(claim.position) }) };
    });
    this.#connection.send({ type: "subscribe", ref: 1, channels: wanted });
  }

  #subscribed(channel: string, { id, resumed, reason }: Frame, at: number): void {
    if (typeof id !== "string")
      return this.#options.onRefused(`${channel} keeps no history: \`subscribed\` has no id`);
    this.#streams.get(channel)?.subscribed(
      {
        id,
        resumed: typeof resumed === "boolean" ? resumed : undefined,
        reason: typeof reason === "string" ? reason : undefined,
      },
      at,
    );
    if (!this.#waiting.delete(channel) || this.#waiting.size > 0) return;
    this.isReady = true;
    this.#options.onReady();
  }

  #failed(channel: string, { code, message, temporary }: Frame): void {
    if (temporary !== true)
      return this.#options.onRefused(`${channel} cannot be subscribed to: ${code}: ${message}`);
    this.#timers.later(retryDelay(this.#refused++, this.#options.maxRetryMs), () =>
      this.#subscribe([channel]),
    );
  }

  #closing({ reconnect_in, fresh }: Frame): void {
    this.isClosing = true;
    this.#options.onClosing(typeof reconnect_in === "number" ? reconnect_in : 0, fresh === true);
  }
}
