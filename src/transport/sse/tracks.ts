import { cursorHead, encodeMark } from "../../protocol/cursor.ts";
import { formatId, type Position } from "../../protocol/position.ts";
import type { ChannelBlock } from "./blocks.ts";
import type { Track } from "./connection.ts";

/*
 * A track begins where its client was: an id is never ahead of what the client was sent, not even of the word that
 * something is lost.
 */

/** Of a stream of one channel: the ids of its events, which are in the blocks. */
export class ChannelTrack implements Track {
  #position: Position | undefined;

  constructor(since?: Position) {
    this.#position = since;
  }

  begin(_channel: string, position: Position | undefined): void {
    this.#position = position;
  }

  get id(): string | undefined {
    return this.#position && formatId(this.#position);
  }

  lengthOf({ whole }: ChannelBlock): number {
    return whole.length;
  }

  put({ whole }: ChannelBlock, into: Uint8Array, at: number): void {
    into.set(whole, at);
  }

  ready({ whole }: ChannelBlock): Uint8Array {
    return whole;
  }
}

const END = "\n\n";

/** Of a stream of many channels: a cursor, in which each block moves its own channel's mark. */
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

  begin(channel: string, position: Position | undefined): void {
    this.#end.write(encodeMark(position), this.#placeOf(channel), "latin1");
  }

  get id(): string {
    return this.#end.toString("latin1", 0, this.#end.length - END.length);
  }

  lengthOf({ beforeCursor }: ChannelBlock): number {
    return beforeCursor.length + this.#end.length;
  }

  put({ channel, beforeCursor, mark }: ChannelBlock, into: Uint8Array, at: number): void {
    if (mark) this.#end.set(mark, this.#placeOf(channel));
    into.set(beforeCursor, at);
    into.set(this.#end, at + beforeCursor.length);
  }

  ready(): undefined {
    return undefined;
  }

  #placeOf(channel: string): number {
    return this.#places.get(channel) as number;
  }
}
