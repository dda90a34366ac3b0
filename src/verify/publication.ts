import { isObject } from "../protocol/json.ts";
import { type Position, parseId } from "../protocol/position.ts";
import type { Counts } from "./counts.ts";
import type { Subscription } from "./subscription.ts";

/** What an event of a run says: nothing but who published it, where and when. */
export interface Publication {
  readonly run: string;
  readonly channel: string;
  readonly publisher: number;
  /** From 1, of that publisher. */
  readonly sequence: number;
  /** When it was first tried to publish, in milliseconds of the run's clock. */
  readonly at: number;
}

/** What belongs to one run begins so: nobody else speaks there. */
export function channelName(run: string, number: number): string {
  return `verify-${run}-${number}`;
}

/** An event as it came, over whatever connection. */
export interface Incoming {
  readonly type: unknown;
  readonly channel: unknown;
  readonly id: unknown;
  readonly data: unknown;
}

/**
 * Gives an event to the subscription that it came for.
 * @returns where the client is with it; undefined: nobody asked for it, or it has no id, and it is of no use
 * @throws {TypeError} when the id is none
 */
export function take(
  incoming: Incoming,
  {
    streams,
    counts,
    run,
    at,
  }: { streams: ReadonlyMap<string, Subscription>; counts: Counts; run: string; at: number },
): Position | undefined {
  const { type, id, data } = incoming;
  const channel = String(incoming.channel);
  const stream = streams.get(channel);
  const origin = originOf(type, data, { run, channel });
  if (!stream || typeof id !== "string") {
    if (origin !== "gateway") counts.foreigner(JSON.stringify(incoming));
    return undefined;
  }
  const sentAt = origin === "own" ? (data as Publication).at : at;
  stream.event({ id, data: JSON.stringify(data), sentAt, origin }, at);
  return parseId(id);
}

/** What a gateway itself makes known begins with `$`: it is in the history like any event. */
function originOf(
  type: unknown,
  data: unknown,
  { run, channel }: Pick<Publication, "run" | "channel">,
): "own" | "gateway" | "foreign" {
  if (typeof type === "string" && type.startsWith("$")) return "gateway";
  const isOwn = isObject(data) && data.run === run && data.channel === channel && typeof data.at === "number";
  return isOwn ? "own" : "foreign";
}
