/** A place in a channel's history: that of an event, or of the channel's beginning (offset 0). */
export interface Position {
  /** Of one life of the history. */
  readonly epoch: string;
  /** Of the event there: offsets can be given out twice, when Redis goes back in time; checks cannot. */
  readonly check: string;
  /** Contiguous from 1 within an epoch, up to 2⁵³ − 1. */
  readonly offset: number;
}

/** What is no id of ours may still have the form of one: any text, `:` and digits. */
const EVENT_ID = /^(\P{Cc}{1,128}):(\d{1,16})$/u;

/** `<epoch>-<check>:<offset>` */
export function formatId({ epoch, check, offset }: Position): string {
  return `${epoch}-${check}:${offset}`;
}

/** The position that an id stands for; undefined when it has not the form of one. */
export function parseId(id: unknown): Position | undefined {
  if (typeof id !== "string") return undefined;
  const [, text = "", digits] = EVENT_ID.exec(id) ?? [];
  const offset = Number(digits ?? Number.NaN);
  if (!Number.isSafeInteger(offset)) return undefined;
  const dash = text.lastIndexOf("-");
  return dash < 0
    ? { epoch: text, check: "", offset }
    : { epoch: text.slice(0, dash), check: text.slice(dash + 1), offset };
}

export function samePosition(a: Position, b: Position): boolean {
  return a.offset === b.offset && a.check === b.check && a.epoch === b.epoch;
}
