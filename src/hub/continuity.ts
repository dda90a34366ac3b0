import type { LossReason } from "../protocol/frames.ts";
import { type Position, samePosition } from "../protocol/position.ts";
import type { EncodedEvent } from "./encoded-event.ts";
import type { Page } from "./feed.ts";

/** An event that the history holds. */
export type PlacedEvent = EncodedEvent & { readonly position: Position };

/** Whether an event belongs right behind a position: its offset says so, and its chained check that nothing was swapped. */
export function follows(event: EncodedEvent, position: Position): boolean {
  return (
    event.position?.offset === position.offset + 1 &&
    event.previous === position.check &&
    event.position.epoch === position.epoch
  );
}

/** Whether a position is another or lies behind it, as far as offsets tell. */
export function isAtLeast(position: Position, other: Position): boolean {
  if (position.epoch !== other.epoch) return false;
  return position.offset > other.offset || samePosition(position, other);
}

/** Whether there is an event, and the history holds it. */
export function hasPosition(event: EncodedEvent | undefined): event is PlacedEvent {
  return event?.position !== undefined;
}

/** The position that an event belongs right behind. */
export function before({ position, previous }: PlacedEvent): Position {
  return { ...position, offset: position.offset - 1, check: previous };
}

/** Why a page read behind `since` does not go on from there; undefined when it does, all of it in order. */
export function lossIn(since: Position, { head, events }: Page): LossReason | undefined {
  if (!head) return "no_history";
  if (head.epoch !== since.epoch) return "history_lost";
  if (head.offset <= since.offset) return samePosition(head, since) ? undefined : "forked";
  let last = since;
  for (const event of events) {
    if (!event.position || event.position.offset !== last.offset + 1) return "trimmed";
    if (!follows(event, last)) return "forked";
    last = event.position;
  }
  return events.length === 0 ? "trimmed" : undefined;
}
