import type { Target } from "./job.ts";
import { cpuTime, machineBusyMicros } from "./proc.ts";
import type { Usage } from "./result.ts";

interface Mark {
  atMs: number;
  done: number;
  userMicros: number;
  systemMicros: number;
  generatorMicros: number;
  /** Spent by all of us, and by the whole machine. */
  ourMicros: number;
  machineMicros: number;
}

/** What was done between two moments and what it cost: the server, us, and whoever should not have been there. */
export class Window {
  readonly #target: Target;
  readonly #countDone: () => number;
  readonly #others: readonly number[];
  #opened: Mark | null = null;
  #closed: Mark | null = null;

  /** @param others further processes that are ours */
  constructor(target: Target, countDone: () => number, others: readonly number[] = []) {
    this.#target = target;
    this.#countDone = countDone;
    this.#others = others;
  }

  open(): void {
    this.#opened = this.#mark();
  }

  close(): void {
    this.#closed = this.#mark();
  }

  get usage(): Usage & { done: number } {
    const [from, to] = [this.#opened, this.#closed];
    if (from === null || to === null) throw new Error("the window was not measured");
    const micros = (to.atMs - from.atMs) * 1000;
    const foreign = to.machineMicros - from.machineMicros - (to.ourMicros - from.ourMicros);
    return {
      seconds: micros / 1e6,
      done: to.done - from.done,
      userMicros: to.userMicros - from.userMicros,
      systemMicros: to.systemMicros - from.systemMicros,
      generatorBusy: (to.generatorMicros - from.generatorMicros) / micros,
      foreignBusy: Math.max(0, foreign / micros),
    };
  }

  #mark(): Mark {
    const server = cpuTime(this.#target.pid);
    const rest = [this.#target.redisPid, ...this.#others].map(cpuTime);
    const own = process.cpuUsage();
    const generatorMicros = own.user + own.system;
    return {
      atMs: performance.now(),
      done: this.#countDone(),
      ...server,
      generatorMicros,
      ourMicros: [server, ...rest].reduce(
        (sum, { userMicros, systemMicros }) => sum + userMicros + systemMicros,
        generatorMicros,
      ),
      machineMicros: machineBusyMicros(),
    };
  }
}
