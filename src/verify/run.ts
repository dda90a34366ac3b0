import { Counts } from "./counts.ts";
import { Load } from "./load.ts";
import type { VerifyOptions } from "./options.ts";
import type { Report } from "./report.ts";

export interface VerifyHooks {
  /** Every client is subscribed and events flow: now is the time for faults. The run goes on until it is done with them. */
  onStarted?(): void | Promise<void>;
  /** Ends the run before its time: what was published has still to arrive. There is no run before events flow. */
  readonly signal?: AbortSignal;
}

/**
 * Publishes numbered events, follows them with clients that come and go, and says whether every promise was kept.
 * Every wait has a limit: it ends within the duration, or `onStarted` if that takes longer, and the settle time, and some
 * seconds.
 * @throws {CouldNotRun}
 */
export async function verify(options: VerifyOptions, hooks: VerifyHooks = {}): Promise<Report> {
  const load = new Load(options, new Counts());
  try {
    await load.start(hooks.signal);
    await Promise.all([pause(options.durationMs, hooks.signal), hooks.onStarted?.()]);
    await load.settle(options.settleMs);
  } catch (error) {
    await load.stop();
    throw error;
  }
  return load.stop();
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (signal?.aborted) end();
    else signal?.addEventListener("abort", end);
  });
}
