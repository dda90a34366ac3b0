import type { EncodedEvent } from "../../hub/encoded-event.ts";
import { cursorHead, encodeMark } from "../../protocol/cursor.ts";
import { formatId, type Position } from "../../protocol/position.ts";
import { eventBlock, sharedBlock } from "./blocks.ts";
import type { Track } from "./connection.ts";

/** Encodes for all streams of one kind what one of them asks for first. */
function once<T>(encode: (event: EncodedEvent) => T): (event: EncodedEvent) => T {
  const known = new WeakMap<EncodedEvent, T>();
  return (event) => {
    const found = known.get(event) ?? encode(event);
    known.set(event, found);
    return found;
  };
}

const blockOf = once(eventBlock);
const partsOf = once((event) => ({
  shared: sharedBlock(event),
  mark: event.position && encodeMark(event.position),
}));

/*
 * A track begins where its client was: an id is never ahead of what the client was sent, not even of the word that
 * something is lost.
 */

/** Of a stream of one channel: the ids of its events. */
export class ChannelTrack implements Track {
  #position: Position | undefined;

  constructor(since?: Position) {
    this.#position = since;
  }

  block(event: EncodedEvent): Uint8Array {
    if (event.position) this.#position = event.position;
    return blockOf(event);
  }

  move(_channel: string, position: Position | undefined): void {
    this.#position = position;
  }

  get id(): string | undefined {
    return this.#position && formatId(this.#position);
  }
}

const END = "\n\n";

/** Of a stream of many channels: a cursor, in which each event moves its own channel's mark. */
export class CursorTrack implements Track {
  /** Where in the cursor each channel's mark is. */
  readonly #places: ReadonlyMap<string, number>;
  /** The cursor and what ends its block. */
  readonly #end: Buffer;

  /** @param id a cursor of these channels */
  constructor(channels: readonly string[], id?: string) {
    const head = cursorHead(channels);
    const none = encodeMark(undefined);
    this.#places = new Map(channels.map((channel, i) => [channel, head.length + i * none.length]));
    this.#end = Buffer.from((id ?? head + none.repeat(channels.length)) + END, "latin1");
  }

  block(event: EncodedEvent): Uint8Array {
    const { shared, mark } = partsOf(event);
    if (mark !== undefined) this.#write(event.channel, mark);
    return Buffer.concat([shared, this.#end]);
  }

  move(channel: string, position: Position | undefined): void {
    this.#write(channel, encodeMark(position));
  }

  #write(channel: string, mark: string): void {
    const place = this.#places.get(channel);
    if (place !== undefined) this.#end.write(mark, place, "latin1");
  }

  get id(): string {
    return this.#end.toString("latin1", 0, this.#end.length - END.length);
  }
}
