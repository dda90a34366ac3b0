import { isMarkedBy, type Mark, offsetOf, parseCursor } from "../protocol/cursor.ts";
import { isObject, parse } from "../protocol/json.ts";
import { type Position, parseId, samePosition } from "../protocol/position.ts";
import type { Checker } from "./checker.ts";
import type { Beginning, Claim, Stream } from "./claim.ts";
import type { Dialogue, DialogueOptions } from "./dialogue.ts";
import { type Block, EventStream } from "./event-stream.ts";
import { sentAtOf } from "./publication.ts";

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
export class SseConversation implements Dialogue {
  readonly #claims: ReadonlyMap<string, Claim>;
  readonly #options: DialogueOptions;
  readonly #bookmark: Bookmark;
  readonly #place: Place;
  readonly #stream: EventStream;
  readonly #streams = new Map<string, Stream>();
  isReady = false;
  isClosing = false;

  /** @param url `http://host:port` */
  constructor(
    checker: Checker,
    claims: ReadonlyMap<string, Claim>,
    bookmark: Bookmark,
    url: string,
    options: DialogueOptions,
  ) {
    const { id, positions } = bookmark.place;
    this.#claims = claims;
    this.#options = options;
    this.#bookmark = bookmark;
    this.#place = { id, positions: new Map(positions) };
    for (const [channel, claim] of claims)
      this.#streams.set(channel, checker.streamSince(claim, positions.get(channel)));
    this.#stream = new EventStream({
      url: urlOf(url, [...claims.keys()], options.fresh),
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
    if (data === undefined) {
      if (!this.isReady && id !== undefined) this.#begin(id, at);
    } else if (type === "$welcome" || type === "$error") {
      // Of the stream itself: it goes on, or ends.
    } else if (type === "$closing") this.#closing(data);
    else if (!this.isReady) throw new TypeError("something comes before the beginning");
    else if (type === "$lost") this.#lost(data, at);
    else this.#event(id, data, at);
    if (!this.isReady || id === undefined) return;
    this.#place.id = id;
    this.#bookmark.place = this.#place;
  }

  #begin(id: string, at: number): void {
    const beginnings = beginningsOf(id, [...this.#claims.keys()]);
    for (const [i, stream] of [...this.#streams.values()].entries())
      stream.opened(beginnings[i] as Beginning, at);
    this.isReady = true;
    this.#options.onReady();
  }

  #event(block: string | undefined, text: string, at: number): void {
    const [only = ""] = this.#claims.keys();
    const said = parse(text);
    const { channel, id, data } =
      this.#claims.size === 1 ? { channel: only, id: block, data: said } : isObject(said) ? said : {};
    const stream = this.#streams.get(String(channel));
    if (!stream || typeof id !== "string")
      return this.#options.onRefused(
        `an event without an id, or that nobody asked for: ${text.slice(0, 200)}`,
      );
    const sentAt = sentAtOf(data, this.#options.run) ?? at; // the checker compares what comes with what was published
    stream.event({ id, data: JSON.stringify(data), sentAt }, at);
    this.#place.positions.set(String(channel), parseId(id) as Position);
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

function urlOf(url: string, channels: readonly string[], fresh: boolean): string {
  const query = new URLSearchParams(fresh ? { fresh: "1" } : {});
  const [only] = channels;
  if (channels.length === 1) return `${url}/v1/channels/${only}/events?${query}`;
  for (const channel of channels) query.append("channel", channel);
  return `${url}/v1/events?${query}`;
}

/** @throws {TypeError} when it is no id, or says of a channel that it keeps no history */
function beginningsOf(id: string, channels: readonly string[]): Beginning[] {
  if (channels.length === 1) {
    const begun = parseId(id);
    if (!begun) throw new TypeError("no id");
    return [{ isAt: (position) => samePosition(position, begun), before: () => begun }];
  }
  return (parseCursor(id, channels) ?? [])
    .concat(Array(channels.length))
    .slice(0, channels.length)
    .map(beginningOf);
}

function beginningOf(mark: Mark | undefined): Beginning {
  if (!mark) throw new TypeError("no cursor of these channels, or one of them keeps no history");
  return {
    isAt: (position) => isMarkedBy(position, mark),
    before: ({ epoch, offset }) => ({ epoch, check: "", offset: offsetOf(mark, offset) }),
  };
}
