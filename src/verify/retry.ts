const MIN_MS = 100;

/** How long to wait before an attempt, after so many failed ones: longer each time, at random. */
export function retryDelay(failed: number, maxMs: number): number {
  const most = Math.min(maxMs, MIN_MS * 2 ** Math.min(failed, 16));
  return Math.min(maxMs, MIN_MS) + Math.random() * Math.max(0, most - MIN_MS);
}

/** What a timer can wait: one for longer would go off at once. */
export const LONGEST_MS = 2_147_483_647;

/** Exponentially distributed: as likely in the next second as in any other. */
export function randomInterval(meanMs: number): number {
  return Math.min(LONGEST_MS, -Math.log(1 - Math.random()) * meanMs);
}
