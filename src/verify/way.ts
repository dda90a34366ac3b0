/** An event on its way to the gateway. */
export interface Outgoing {
  readonly channel: string;
  /** As JSON. */
  readonly data: string;
  /** The idempotency key: the same for each attempt. */
  readonly key: string;
}

/** One of the ways to publish. */
export interface Way {
  /** @returns the event's id @throws {NotPublished} */
  publish(event: Outgoing): Promise<string>;
  stop(): void;
}

/** An attempt that was not acknowledged: the event may be there all the same. */
export class NotPublished extends Error {
  override readonly name = "NotPublished";
  /** Whether another attempt can help. */
  readonly temporary: boolean;

  constructor(message: string, temporary: boolean) {
    super(message);
    this.temporary = temporary;
  }
}

/** How long an answer may take, in milliseconds. */
export const ANSWER_MS = 5_000;

/** @throws {NotPublished} when there is none: the channel keeps no history */
export function idIn(answer: Readonly<Record<string, unknown>>): string {
  if (typeof answer.id === "string" && answer.id !== "") return answer.id;
  throw new NotPublished("the channel keeps no history: what is published there has no id", false);
}
