import { Latencies } from "./latencies.ts";
import type { Usage } from "./result.ts";
import type { Window } from "./window.ts";

/** What was published in one of the ways that take turns: its windows together. */
export class Way {
  readonly windows: Window[] = [];
  readonly latencies = new Latencies();
  frameBytes = 0;

  get result(): Usage & {
    deliveries: number;
    p50Ms: number;
    p99Ms: number;
    maxMs: number;
    frameBytes: number;
  } {
    const usages = this.windows.map(({ usage }) => usage);
    const sum = (of: (usage: Usage & { done: number }) => number): number =>
      usages.reduce((total, usage) => total + of(usage), 0);
    const seconds = sum((usage) => usage.seconds);
    return {
      seconds,
      deliveries: sum((usage) => usage.done),
      userMicros: sum((usage) => usage.userMicros),
      systemMicros: sum((usage) => usage.systemMicros),
      generatorBusy: sum((usage) => usage.generatorBusy * usage.seconds) / seconds,
      foreignBusy: sum((usage) => usage.foreignBusy * usage.seconds) / seconds,
      p50Ms: this.latencies.percentile(0.5),
      p99Ms: this.latencies.percentile(0.99),
      maxMs: this.latencies.maxMs,
      frameBytes: this.frameBytes,
    };
  }
}
