import { RequestError } from "../../protocol/codes.ts";
import { MAX_LIMIT, type Start } from "../../protocol/commands.ts";
import { moveCursor, parseCursor } from "../../protocol/cursor.ts";
import { parseId } from "../../protocol/position.ts";
import { last as lastSchema } from "../../schema/fields.ts";
import { StreamParameters } from "../../schema/parameters.ts";
import { shape } from "../../schema/shape.ts";
import { numberIn, type RequestHead } from "../request.ts";
import { STOP } from "./blocks.ts";
import type { Track } from "./connection.ts";
import { ChannelTrack, CursorTrack } from "./tracks.ts";

/** Where a stream begins in each of its channels, undefined: now; and how it writes where it has come to. */
export interface Beginning {
  readonly channels: readonly string[];
  readonly starts: readonly (Start | undefined)[];
  readonly track: Track;
}

const checkedStream = shape(StreamParameters);
const checkedLast = shape(lastSchema);

/**
 * Whether it comes back from a stream that told it not to, as an `EventSource` does that nobody has closed. In the query,
 * which somebody has written, it is no place to begin at.
 */
export function isStopped({ lastEventId }: RequestHead): boolean {
  return lastEventId === STOP;
}

/** @throws {RequestError} bad_since, bad_limit */
export function beginningOfChannel(head: RequestHead, channel: string): Beginning {
  const channels = [channel];
  const id = lastEventId(head);
  if (id === undefined) return { channels, starts: lastOf(head, channels), track: new ChannelTrack() };
  const since = parseId(id);
  if (!since) throw new RequestError("bad_since", "`Last-Event-ID` is the id of an event", { channel });
  return { channels, starts: [{ since }], track: new ChannelTrack(since) };
}

/** @throws {RequestError} bad_frame, bad_channel, bad_since, bad_limit */
export function beginningOfMany(head: RequestHead): Beginning {
  const { query } = head;
  const each = (name: string) => [...new Set(query.getAll(name))];
  const asked = { channel: each("channel"), previous_channel: each("previous_channel") };
  const { channel: channels, previous_channel: previous = [] } = checkedStream(asked);
  const cursor = cursorIn(head, previous, channels);
  const starts = cursor === undefined ? lastOf(head, channels) : startsOf(cursor, channels);
  return { channels, starts, track: new CursorTrack(channels, cursor) };
}

/** The header is a browser's that comes back; the query is for whoever cannot set one. */
function lastEventId({ lastEventId, query }: RequestHead): string | undefined {
  return lastEventId || query.get("last_event_id") || undefined;
}

/** In the query it may be that of a stream of other channels, which are named beside it. @throws {RequestError} bad_since */
function cursorIn(
  head: RequestHead,
  previous: readonly string[],
  channels: readonly string[],
): string | undefined {
  const id = lastEventId(head);
  if (id === undefined || head.lastEventId || previous.length === 0) return id;
  const cursor = moveCursor(id, previous, channels);
  if (cursor === undefined)
    throw new RequestError(
      "bad_since",
      "`last_event_id` is the id of an event of a stream of the channels `previous_channel`",
    );
  return cursor;
}

/** `?last=…` of a client that has no id: so many of the last events of each. @throws {RequestError} bad_limit */
function lastOf({ query }: RequestHead, channels: readonly string[]): (Start | undefined)[] {
  const number = numberIn(query, "last");
  if (number === undefined) return [];
  const last = checkedLast(number);
  if (last * channels.length > MAX_LIMIT)
    throw new RequestError("bad_limit", `\`last\` times the channels is at most ${MAX_LIMIT}`);
  return channels.map(() => ({ last }));
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
