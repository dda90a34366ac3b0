import { setTimeout as sleep } from "node:timers/promises";
import { machineBusyMicros } from "../load/proc.ts";

const SAMPLE_MS = 1_000;
const MOST_BUSY = 0.1;

/** Waits, but not for ever, until others leave the machine alone; what they do later is seen and flagged. */
export async function untilQuiet(patienceMs: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (performance.now() < deadline) {
    const before = machineBusyMicros();
    await sleep(SAMPLE_MS);
    if ((machineBusyMicros() - before) / (SAMPLE_MS * 1000) < MOST_BUSY) return;
  }
}
