import { setImmediate as immediate } from "node:timers/promises";

/** Until all promises that can settle by themselves have done so, and what the hub keeps for a tick has gone out. */
export async function nextTick(): Promise<void> {
  await immediate();
  await immediate();
}
