import { createHistogram } from "node:perf_hooks";

/** How often each of several things happened. */
class Tally extends Map<string, number> {
  add(what: string): void {
    this.set(what, (this.get(what) ?? 0) + 1);
  }

  get total(): number {
    return [...this.values()].reduce((sum, count) => sum + count, 0);
  }
}

/** What the checker has seen so far, as plain numbers. */
export class Counts {
  acknowledged = 0;
  /** Events that came to a client, each counted once for it. */
  deliveries = 0;
  /** Of them, those that a client had missed and got by resuming. */
  recovered = 0;
  /** Answers to `since`, by result: `resumed`, or the reason why not. */
  readonly resumes = new Tally();
  /** How often a client was told that continuity was lost, on resume or on a live subscription, by reason. */
  readonly told = new Tally();

  /** Events that a client did not get and was never told of. */
  silent = 0;
  /** Events that a client did not get, and was told so. */
  toldLost = 0;
  duplicated = 0;
  reordered = 0;
  conflicting = 0;
  /** Events of another channel, or that nobody of this run published, or without an id; and the first of them. */
  foreign = 0;
  firstForeign: string | undefined;
  /** How often somebody without a grant was let in. */
  unauthorised = 0;

  /** Live deliveries over five seconds after the acknowledgement, and the longest of them, in milliseconds. */
  late = 0;
  worstLateMs = 0;
  /**
   * The longest time, in milliseconds, that a connected client did not know that it had missed an acknowledged event:
   * until it was told, got the event after all, or got it late. Undefined: it never happened.
   */
  worstDetectionMs: number | undefined;

  /** From the first attempt to publish to a live delivery, in microseconds. */
  readonly latency = createHistogram();
  readonly #onLatency: (ms: number) => void;

  constructor(onLatency: (ms: number) => void = () => {}) {
    this.#onLatency = onLatency;
  }

  get lost(): number {
    return this.silent + this.toldLost;
  }

  foreigner(text: string): void {
    this.foreign++;
    this.firstForeign ??= text.slice(0, 200);
  }

  detected(afterMs: number): void {
    this.worstDetectionMs = Math.max(this.worstDetectionMs ?? 0, afterMs);
  }

  took(ms: number): void {
    this.latency.record(Math.max(1, Math.round(ms * 1000)));
    this.#onLatency(ms);
  }

  arrivedLate(ms: number): void {
    this.late++;
    this.worstLateMs = Math.max(this.worstLateMs, ms);
    this.detected(ms);
  }
}
