import { randomInt } from "node:crypto";
import type { Identity } from "../../auth/identity.ts";
import { isChannel } from "../../protocol/channel.ts";
import { CODES, RequestError } from "../../protocol/codes.ts";
import { MAX_LIMIT, type Start, subscriptionOf } from "../../protocol/commands.ts";
import { parseCursor } from "../../protocol/cursor.ts";
import type { LossReason } from "../../protocol/frames.ts";
import { parseId } from "../../protocol/position.ts";
import { authorise } from "../../session/publisher.ts";
import { Session, type SessionContext } from "../../session/session.ts";
import type { Begun } from "../../session/subscriptions.ts";
import { type AdmissionRules, admit, checkAgain } from "../admission.ts";
import type { Answer, Opening } from "../http/answer.ts";
import type { Request } from "../http/http.ts";
import { numberIn, type RequestHead } from "../request.ts";
import { controlBlock, retry } from "./blocks.ts";
import { SseConnection, type SseContext, type Track } from "./connection.ts";
import { ChannelTrack, CursorTrack } from "./tracks.ts";

export interface SseOptions extends SseContext {
  readonly rules: AdmissionRules;
  readonly session: SessionContext;
  /** When a client that was cut off comes back. */
  readonly reconnectMs: { readonly min: number; readonly max: number };
  refused(code: string): void;
  resumed(result: "resumed" | LossReason): void;
  connectionId(): string;
}

/** Where a stream begins in each of its channels, undefined: now; and how it writes where it has come to. */
interface Way {
  readonly starts: readonly (Start | undefined)[];
  readonly track: Track;
}

/** Channels of one stream: each has its place in every id. */
const MAX_CHANNELS = 100;

const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache, no-transform",
  // nginx would keep events until a buffer is full.
  "x-accel-buffering": "no",
};

/** Whether a client asks for a stream where there is also something else to be had. */
export function wantsStream({ accept }: RequestHead): boolean {
  return accept !== undefined && /(^|,) *text\/event-stream *(;|,|$)/i.test(accept);
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
    return this.#answer(request, [channel], (id) => {
      if (id === undefined) return { starts: last(request.head, [channel]), track: new ChannelTrack() };
      const since = parseId(id);
      if (!since) throw new RequestError("bad_since", "`Last-Event-ID` is the id of an event", { channel });
      return { starts: [{ since }], track: new ChannelTrack(since) };
    });
  }

  /** `?channel=…`, many times: the id of a block is a cursor over all of them. @throws {RequestError} */
  ofMany(request: Request): Promise<Answer | Opening> {
    const { head } = request;
    const channels = [...new Set(head.query.getAll("channel"))];
    return this.#answer(request, channels, (id) => {
      const wrong = channels.length === 0 || channels.length > MAX_CHANNELS;
      if (wrong) throw new RequestError("bad_frame", `query \`channel\`: 1 to ${MAX_CHANNELS} channels`);
      if (!channels.every(isChannel)) throw new RequestError("bad_channel");
      return {
        starts: id === undefined ? last(head, channels) : startsOf(id, channels),
        track: new CursorTrack(channels, id),
      };
    });
  }

  async #answer(
    request: Request,
    channels: readonly string[],
    wayFrom: (id: string | undefined) => Way,
  ): Promise<Answer | Opening> {
    try {
      const { head } = request;
      const way = wayFrom(lastEventId(head));
      const identity = await admit(head, this.#options.rules);
      if (!identity) throw new RequestError("token_missing");
      return await this.#open(request, identity, channels, way);
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
    channels: readonly string[],
    { starts, track }: Way,
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

/** The header is a browser's that comes back; the query is for whoever cannot set one. */
function lastEventId({ lastEventId, query }: RequestHead): string | undefined {
  return lastEventId || query.get("last_event_id") || undefined;
}

/** `?last=…` of a client that has no id: so many of the last events of each. @throws {RequestError} bad_limit */
function last({ query }: RequestHead, channels: readonly string[]): (Start | undefined)[] {
  const number = numberIn(query, "last");
  if (number === undefined) return [];
  const starts = channels.map((channel) => subscriptionOf({ channel, last: number }).start);
  if (Number(number) * channels.length > MAX_LIMIT)
    throw new RequestError("bad_limit", `\`last\` times the channels is at most ${MAX_LIMIT}`);
  return starts;
}

/** @throws {RequestError} bad_since */
function startsOf(id: string, channels: readonly string[]): (Start | undefined)[] {
  const marks = parseCursor(id, channels);
  if (!marks)
    throw new RequestError(
      "bad_since",
      "`Last-Event-ID` is the id of an event of a stream of these channels",
    );
  return marks.map((mark) => mark && { mark });
}
