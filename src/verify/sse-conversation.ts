import { isMarkedBy, type Mark, offsetOf, parseCursor } from "../protocol/cursor.ts";
import { isObject, parse } from "../protocol/json.ts";
import { type Position, parseId, samePosition } from "../protocol/position.ts";
import type { Checker } from "./checker.ts";
import type { Claim } from "./claim.ts";
import type { Conversation, ConversationOptions } from "./conversation.ts";
import { type Block, EventStream } from "./event-stream.ts";
import { take } from "./publication.ts";
import type { Beginning, Subscription } from "./subscription.ts";

/** Where a client is in all of its channels, as one of its connections has heard it: the id and what it stands for. */
interface Place {
  id: string | undefined;
  readonly positions: Map<string, Position>;
}

/** From where a client's next event stream goes on. What each connection heard is right by itself: the last one counts. */
export class Bookmark {
  place: Place = { id: undefined, positions: new Map() };
}

/** One event stream of a client: it resumes all channels there, and tells the checker what comes. */
export class SseConversation implements Conversation {
  readonly #checker: Checker;
  readonly #claims: ReadonlyMap<string, Claim>;
  readonly #options: ConversationOptions;
  readonly #bookmark: Bookmark;
  readonly #place: Place;
  readonly #stream: EventStream;
  readonly #streams = new Map<string, Subscription>();
  isReady = false;
  isClosing = false;

  /** @param url `http://host:port` */
  constructor(
    checker: Checker,
    claims: ReadonlyMap<string, Claim>,
    bookmark: Bookmark,
    url: string,
    options: ConversationOptions,
  ) {
    const { id, positions } = bookmark.place;
    this.#checker = checker;
    this.#claims = claims;
    this.#options = options;
    this.#bookmark = bookmark;
    this.#place = { id, positions: new Map(positions) };
    for (const [channel, claim] of claims)
      this.#streams.set(channel, checker.streamSince(claim, positions.get(channel)));
    this.#stream = new EventStream({
      url: streamUrl(url, [...claims.keys()], options.fresh),
      token: options.token,
      lastEventId: id,
      onBlock: (block) => {
        try {
          this.#hear(block, performance.now());
        } catch (error) {
          options.onRefused(`${(error as Error).message} in ${JSON.stringify(block).slice(0, 200)}`);
        }
      },
      onEnd: (end) => {
        this.#endStreams();
        options.onEnd(end);
      },
    });
  }

  cut(): void {
    this.#stream.cut();
    this.#endStreams();
  }

  #endStreams(): void {
    for (const stream of this.#streams.values()) stream.end(performance.now());
  }

  #hear(block: Block, at: number): void {
    const { type, id, data } = block;
    if (type === "$welcome") return this.#welcome();
    // Of the stream itself: its id, if it has one, is no place in the channels.
    if (type === "$error") return;
    if (type === "$closing") return this.#closing(data ?? "");
    if (data === undefined) {
      if (!this.isReady && id !== undefined) this.#begin(id, at);
    } else if (!this.isReady) throw new TypeError("something comes before the beginning");
    else if (type === "$lost") this.#lost(data, at);
    else this.#event(block, data, at);
    if (!this.isReady || id === undefined) return;
    this.#place.id = id;
    this.#bookmark.place = this.#place;
  }

  /** The beginning comes before it. */
  #welcome(): void {
    if (!this.isReady)
      throw new TypeError(`${[...this.#claims.keys()].join(", ")} keeps no history: the stream has no id`);
  }

  #begin(id: string, at: number): void {
    const channels = [...this.#claims.keys()];
    const beginnings = beginningsOf(id, channels);
    const { id: asked, positions } = this.#place;
    const moved = asked === undefined ? [] : movedBetween(asked, id, channels);
    for (const [i, [channel, stream]] of [...this.#streams].entries()) {
      const beginning = beginnings[i] as Beginning;
      stream.opened(beginning, at);
      if (positions.has(channel)) continue;
      // Before its first event nobody knows a position in the channel: the ids are all there is to compare. A `$lost`
      // that follows takes it back.
      if (moved[i]) this.#claims.get(channel)?.breach(at);
      if (beginning.whole) positions.set(channel, beginning.whole);
    }
    this.isReady = true;
    this.#options.onReady();
  }

  #event({ type, id: own }: Block, text: string, at: number): void {
    const [only = ""] = this.#claims.keys();
    const said = parse(text);
    const { channel, id, data } =
      this.#claims.size === 1 ? { channel: only, id: own, data: said } : isObject(said) ? said : {};
    const { counts } = this.#checker;
    const { run } = this.#options;
    const position = take({ type, channel, id, data }, { streams: this.#streams, counts, run, at });
    if (position) this.#place.positions.set(String(channel), position);
  }

  #lost(text: string, at: number): void {
    const told = parse(text);
    const { channel, id, reason } = isObject(told) ? told : {};
    const stream = this.#streams.get(String(channel));
    if (!stream || typeof id !== "string") throw new TypeError("a loss without a channel or an id");
    stream.subscribed({ id, resumed: false, reason: String(reason) }, at);
    this.#place.positions.set(String(channel), parseId(id) as Position);
  }

  #closing(text: string): void {
    const told = parse(text);
    if (!isObject(told) || typeof told.reconnect_in !== "number") return; // it ends now
    this.isClosing = true;
    this.#options.onClosing(told.reconnect_in, told.fresh === true);
  }
}

/** Of the stream of one channel, or of several. @param url `http://host:port` */
export function streamUrl(url: string, channels: readonly string[], fresh = false): string {
  const query = new URLSearchParams(fresh ? { fresh: "1" } : {});
  const [only] = channels;
  if (channels.length === 1) return `${url}/v1/channels/${only}/events?${query}`;
  for (const channel of channels) query.append("channel", channel);
  return `${url}/v1/events?${query}`;
}

/** Of each channel, whether a stream that was asked to go on from one id has begun at another place. */
function movedBetween(asked: string, begun: string, channels: readonly string[]): boolean[] {
  const [from, to] = [parseCursor(asked, channels), parseCursor(begun, channels)];
  return channels.map(
    (_, i) => from?.[i]?.offset !== to?.[i]?.offset || from?.[i]?.digest !== to?.[i]?.digest,
  );
}

/** @throws {TypeError} when it is no id, or says of a channel that it keeps no history */
function beginningsOf(id: string, channels: readonly string[]): Beginning[] {
  if (channels.length === 1) {
    const begun = parseId(id);
    if (!begun) throw new TypeError("no id");
    return [{ isAt: (position) => samePosition(position, begun), before: () => begun, whole: begun }];
  }
  const marks = parseCursor(id, channels);
  if (!marks) throw new TypeError("no cursor of these channels");
  return marks.map((mark, i) => beginningOf(mark, channels[i] as string));
}

function beginningOf(mark: Mark | undefined, channel: string): Beginning {
  if (!mark) throw new TypeError(`${channel} keeps no history: the cursor has no place in it`);
  return {
    isAt: (position) => isMarkedBy(position, mark),
    before: ({ epoch, offset }) => ({ epoch, check: "", offset: offsetOf(mark, offset) }),
  };
}
