import type { ChannelCount, ChannelsQuery } from "../protocol/audience.ts";
import { RequestError } from "../protocol/codes.ts";
import { DEFAULT_LIMIT } from "../protocol/commands.ts";
import { formatId, type Position } from "../protocol/position.ts";
import { ChannelsParameters } from "../schema/parameters.ts";
import { shape } from "../schema/shape.ts";
import { type Answer, json } from "../transport/http/answer.ts";
import type { Request } from "../transport/http/http.ts";
import { numberIn } from "../transport/request.ts";
import type { Caller } from "./caller.ts";
import { channelIn } from "./path.ts";

/** What is known of channels over all nodes. */
export interface Channels {
  /** Those that have a subscriber, by name. @throws {RequestError} backplane_unavailable */
  channels(query: ChannelsQuery): Promise<readonly ChannelCount[]>;
  /** @returns the new beginning; undefined: it keeps no history @throws {RequestError} backplane_unavailable */
  forget(channel: string): Promise<Position | undefined>;
}

const checked = shape(ChannelsParameters);

/**
 * `?after=<channel>&prefix=&limit=` → 200 `{"channels":[{"channel","subscribers"}],"next"?}`: those that somebody is
 * subscribed to, by name. The counts are some seconds old.
 */
export async function channels(request: Request, caller: Caller, channels: Channels): Promise<Answer> {
  await caller.identifyAdmin(request, "channels");
  const { query } = request.head;
  const {
    after,
    prefix = "",
    limit = DEFAULT_LIMIT,
  } = checked({
    after: query.get("after") ?? undefined,
    prefix: query.get("prefix") || undefined,
    limit: numberIn(query, "limit"),
  });
  // One more than asked for says whether there are more.
  const found = await channels.channels({ after, prefix, limit: limit + 1 });
  const page = found.slice(0, limit);
  const next = page.length < found.length ? page.at(-1)?.channel : undefined;
  return json(200, { channels: page, ...(next !== undefined && { next }) });
}

/** → 200 `{"channel","id"}`: the history is gone, and goes on from `id`. Whoever is subscribed is told `history_lost`. */
export async function forget(request: Request, caller: Caller, channels: Channels): Promise<Answer> {
  await caller.identifyAdmin(request, "channels");
  const channel = channelIn(request);
  const beginning = await channels.forget(channel);
  if (!beginning) throw new RequestError("not_supported", "this channel keeps no history", { channel });
  return json(200, { channel, id: formatId(beginning) });
}
