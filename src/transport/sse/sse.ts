import { randomInt } from "node:crypto";
import type { Identity } from "../../auth/identity.ts";
import { CODES, RequestError } from "../../protocol/codes.ts";
import type { Start } from "../../protocol/commands.ts";
import type { LossReason } from "../../protocol/frames.ts";
import { authorise } from "../../session/publisher.ts";
import { Session, type SessionContext } from "../../session/session.ts";
import type { Begun } from "../../session/subscriptions.ts";
import { type AdmissionRules, admit, checkAgain } from "../admission.ts";
import { type Answer, NO_CONTENT, type Opening } from "../http/answer.ts";
import type { Request } from "../http/http.ts";
import type { RequestHead } from "../request.ts";
import { type Beginning, beginningOfChannel, beginningOfMany, isStopped } from "./beginning.ts";
import { controlBlock, retry } from "./blocks.ts";
import { SseConnection, type SseContext } from "./connection.ts";

export interface SseOptions extends SseContext {
  readonly rules: AdmissionRules;
  readonly session: SessionContext;
  /** When a client that was cut off comes back. */
  readonly reconnectMs: { readonly min: number; readonly max: number };
  refused(code: string): void;
  resumed(result: "resumed" | LossReason): void;
  connectionId(): string;
}

const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-transform",
  // nginx would keep events until a buffer is full.
  "x-accel-buffering": "no",
};

/**
 * Whether a client asks for a stream where there is also something else to be had. Who takes both, as clients do that are
 * generated from the document, gets what ends.
 */
export function wantsStream({ accept = "" }: RequestHead): boolean {
  return (
    /(^|,) *text\/event-stream *(;|,|$)/i.test(accept) && !/(^|,) *application\/json *(;|,|$)/i.test(accept)
  );
}

/**
 * Event streams. What is wrong for good is refused like any other request; what is temporary is told within a stream that
 * ends, since an `EventSource` comes back after that, and after no status but 200.
 */
export class Sse {
  readonly #options: SseOptions;

  constructor(options: SseOptions) {
    this.#options = options;
  }

  /** One channel: the id of a block is its event's. @throws {RequestError} */
  ofChannel(request: Request, channel: string): Promise<Answer | Opening> {
    return this.#answer(request, () => beginningOfChannel(request.head, channel));
  }

  /** `?channel=…`, many times: the id of a block is a cursor over all of them. @throws {RequestError} */
  ofMany(request: Request): Promise<Answer | Opening> {
    return this.#answer(request, () => beginningOfMany(request.head));
  }

  async #answer(request: Request, begin: () => Beginning): Promise<Answer | Opening> {
    try {
      const { head } = request;
      if (isStopped(head)) return NO_CONTENT;
      const beginning = begin();
      const identity = await admit(head, this.#options.rules);
      if (!identity) throw new RequestError("token_missing");
      return await this.#open(request, identity, beginning);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      this.#options.refused(error.code);
      if (!CODES[error.code].temporary) throw error;
      return this.#notNow(error);
    }
  }

  async #open(
    { head, aborted }: Request,
    identity: Identity,
    { channels, starts, track }: Beginning,
  ): Promise<Answer | Opening> {
    const { session: context, rules } = this.#options;
    checkAgain(rules, identity);
    for (const channel of channels) authorise(identity, "subscribe", channel, context.rules);
    if (head.method === "HEAD") return { status: 200, headers: HEADERS, body: "" };
    const connection = new SseConnection(this.#options.connectionId(), track, this.#options);
    const session = new Session(context, connection, identity);
    connection.session = session;
    session.begin();
    // Channels may take seconds to be subscribed: who does not wait for them counts no more.
    if (aborted.aborted) connection.onClose();
    else aborted.addEventListener("abort", () => connection.onClose());
    try {
      await Promise.all(
        channels.map((channel, i) => this.#subscribe(session, connection, channel, starts[i])),
      );
      if (connection.refusal) throw new RequestError(connection.refusal);
    } catch (error) {
      connection.onClose();
      throw error;
    }
    return {
      status: 200,
      headers: HEADERS,
      open: (response) => connection.open(response, this.#retryMs()),
    };
  }

  async #subscribe(
    session: Session,
    connection: SseConnection,
    channel: string,
    start: Start | undefined,
  ): Promise<void> {
    const begin = ({ at, position, lost }: Begun): void => {
      if (start) this.#options.resumed(lost ?? "resumed");
      if (lost) connection.lost(channel, position, lost);
      else connection.begin(channel, at);
    };
    await session.subscriptions.add(channel, start, () => session.authorise("subscribe", channel), begin);
  }

  /** A stream that ends: come back. */
  #notNow({ code, message }: RequestError): Answer {
    const told = { type: "error", code, message, temporary: true };
    const block = controlBlock("error", told, retry(this.#retryMs()));
    return { status: 200, headers: HEADERS, body: block.toString() };
  }

  #retryMs(): number {
    const { min, max } = this.#options.reconnectMs;
    return randomInt(min, max + 1);
  }
}
