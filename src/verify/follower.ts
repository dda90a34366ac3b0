import type { Checker } from "./checker.ts";
import type { Claim } from "./claim.ts";
import type { Conversation, ConversationOptions } from "./conversation.ts";
import type { ConnectionEnd } from "./ended.ts";
import type { Transport } from "./options.ts";
import { randomInterval, retryDelay } from "./retry.ts";
import { Bookmark, SseConversation } from "./sse-conversation.ts";
import { WsConversation } from "./ws-conversation.ts";

/** What a client does beside listening. Durations are milliseconds. */
export interface FollowerOptions {
  readonly transport: Transport;
  /** `http://host:port`, and `ws://…/ws`. */
  readonly url: { readonly http: string; readonly webSocket: string };
  readonly run: string;
  token(): string;
  readonly reconnectMs: number;
  readonly awayMs: number;
  readonly maxRetryMs: number;
  /** Something that no retry mends. */
  onRefused(why: string): void;
}

/** How often clients connected again. */
export class Reconnects {
  /** They cut the connection, and came back. */
  cut = 0;
  /** They opened the next connection first: at will, or because the node was closing. */
  moved = 0;
  /** The connection was gone. */
  lost = 0;
}

/** An event may reach the old node later than the new one. */
const OVERLAP_MS = 1_000;

/**
 * One client of a run: it follows its channels over one connection after the other, resuming each time. Whenever it
 * likes, it cuts its connection and comes back, or moves to the next connection before it drops the one it has.
 */
export class Follower {
  readonly #checker: Checker;
  readonly #claims: ReadonlyMap<string, Claim>;
  readonly #reconnects: Reconnects;
  readonly #options: FollowerOptions;
  readonly #bookmark = new Bookmark();
  #current: Conversation | undefined;
  /** The one to move to. */
  #next: Conversation | undefined;
  readonly #dropping = new Set<Conversation>();
  #failed = 0;
  #retry: NodeJS.Timeout | undefined;
  #whim: NodeJS.Timeout | undefined;
  #moving: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(checker: Checker, claims: readonly Claim[], reconnects: Reconnects, options: FollowerOptions) {
    this.#checker = checker;
    this.#claims = new Map(claims.map((claim) => [claim.channel, claim]));
    this.#reconnects = reconnects;
    this.#options = options;
  }

  /** Whether it is subscribed to all its channels. */
  get isPresent(): boolean {
    return [...this.#claims.values()].every(({ isConnected }) => isConnected);
  }

  /** Why its last attempt to connect failed. */
  lastFailure = "";

  /** Why it is not let in for good; undefined: it is. */
  refusal: string | undefined;

  connect(): void {
    this.#current = this.#open();
  }

  /** Begins to reconnect at random. */
  beRestless(): void {
    if (this.#options.reconnectMs === 0 || this.#stopped) return;
    this.#whim = setTimeout(() => {
      this.#followWhim();
      this.beRestless();
    }, randomInterval(this.#options.reconnectMs));
  }

  /** No further reconnects without a need. */
  calmDown(): void {
    clearTimeout(this.#whim);
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of [this.#retry, this.#whim, this.#moving]) clearTimeout(timer);
    for (const one of [this.#current, this.#next, ...this.#dropping]) one?.cut();
  }

  #open(fresh = false): Conversation {
    const { run, token } = this.#options;
    const conversation: Conversation = this.#converse({
      run,
      token: token(),
      fresh,
      onReady: () => this.#ready(conversation),
      onClosing: (inMs, elsewhere) => {
        if (conversation === this.#current) this.#move(inMs, elsewhere);
      },
      onRefused: (why) => this.#refuse(why),
      onEnd: (end) => this.#ended(conversation, end),
    });
    return conversation;
  }

  #converse(options: ConversationOptions): Conversation {
    const { transport, url, maxRetryMs } = this.#options;
    if (transport === "sse")
      return new SseConversation(this.#checker, this.#claims, this.#bookmark, url.http, options);
    return new WsConversation(this.#checker, this.#claims, { ...options, url: url.webSocket, maxRetryMs });
  }

  #followWhim(): void {
    if (!this.#current?.isReady || this.#next) return;
    if (Math.random() < 0.5) return this.#move(0, false);
    this.#reconnects.cut++;
    this.#current.cut();
    this.#current = undefined;
    this.#comeBack(Math.random() * this.#options.awayMs);
  }

  #move(inMs: number, fresh: boolean): void {
    if (this.#next || this.#stopped) return;
    clearTimeout(this.#moving);
    this.#moving = setTimeout(() => {
      if (this.#next || !this.#current?.isReady) return; // it came back otherwise
      this.#next = this.#open(fresh);
    }, inMs);
  }

  #ready(conversation: Conversation): void {
    this.#failed = 0;
    if (conversation !== this.#next) return;
    const old = this.#current;
    this.#current = conversation;
    this.#next = undefined;
    if (!old) return;
    this.#reconnects.moved++;
    this.#dropping.add(old);
    setTimeout(() => {
      this.#dropping.delete(old);
      old.cut();
    }, OVERLAP_MS).unref();
    if (conversation.isClosing) this.#move(0, true);
  }

  #ended(conversation: Conversation, { again, why }: ConnectionEnd): void {
    this.lastFailure = why;
    if (this.#stopped || this.#dropping.delete(conversation)) return;
    if (!again) return this.#refuse(why);
    if (conversation === this.#next) {
      this.#next = undefined;
      if (this.#current?.isClosing) this.#move(retryDelay(this.#failed++, this.#options.maxRetryMs), true);
      return;
    }
    if (conversation.isReady) this.#reconnects.lost++;
    this.#current = this.#next;
    this.#next = undefined;
    if (!this.#current) this.#comeBack(retryDelay(this.#failed++, this.#options.maxRetryMs));
  }

  #refuse(why: string): void {
    this.refusal ??= why;
    this.#options.onRefused(why);
  }

  #comeBack(inMs: number): void {
    this.#retry = setTimeout(() => {
      this.#current = this.#open();
    }, inMs);
  }
}
