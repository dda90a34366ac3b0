import { parseId } from "../protocol/position.ts";

/** An event on its way to the gateway. */
export interface Outgoing {
  readonly channel: string;
  /** As JSON. */
  readonly data: string;
  /** The idempotency key: the same for each attempt. */
  readonly key: string;
}

export interface Acknowledgement {
  /** The event's. */
  readonly id: string;
  /** The connection that it went by, where a connection keeps the order. */
  readonly line?: object;
}

/** One of the ways to publish. */
export interface Way {
  /** @throws {NotPublished} */
  publish(event: Outgoing): Promise<Acknowledgement>;
  stop(): void;
}

/** An attempt that was not acknowledged: the event may be there all the same. */
export class NotPublished extends Error {
  override readonly name = "NotPublished";
  /** The gateway's, or one word for what happened instead of an answer: what failures are counted by. */
  readonly code: string;
  /** Whether another attempt can help. */
  readonly temporary: boolean;

  constructor(code: string, message: string, temporary: boolean) {
    super(message);
    this.code = code;
    this.temporary = temporary;
  }
}

/** The codes of attempts that nobody answered. */
export const NO_ANSWER = "no_answer";
export const NO_CONNECTION = "no_connection";

/** How long an answer may take, in milliseconds. */
export const ANSWER_MS = 5_000;

/** @throws {NotPublished} when there is none: the channel keeps no history */
export function idIn({ id }: Readonly<Record<string, unknown>>): string {
  if (typeof id !== "string" || id === "")
    throw new NotPublished("no_id", "the channel keeps no history: what is published there has no id", false);
  if (!parseId(id)) throw new NotPublished("no_id", `no id: ${JSON.stringify(id)}`, false);
  return id;
}
