import { isObject } from "../protocol/json.ts";

/** What an event of a run says: nothing but who published it, and when. */
export interface Publication {
  readonly run: string;
  readonly publisher: number;
  /** From 1, of that publisher. */
  readonly sequence: number;
  /** When it was first tried to publish, in milliseconds of the run's clock. */
  readonly at: number;
}

/** When an event was first tried to publish; undefined: it is none of this run. */
export function sentAtOf(data: unknown, run: string): number | undefined {
  return isObject(data) && data.run === run && typeof data.at === "number" ? data.at : undefined;
}

/** What belongs to one run begins so: nobody else speaks there. */
export function channelName(run: string, number: number): string {
  return `verify-${run}-${number}`;
}
