import type { Claim } from "./claim.ts";
import type { Counts } from "./counts.ts";
import { Timers } from "./timers.ts";
import { type Action, type Intruder, type Outcome, ruleFor, type Targets, TRESPASSES } from "./trespass.ts";

export interface StrangerOptions {
  readonly url: Intruder["url"];
  token(): string;
}

/** What came of it, by way. */
export interface Trespassing {
  readonly letIn: Readonly<Record<string, number>>;
  /** As it should be. */
  readonly refused: Readonly<Record<string, number>>;
  /** Ways of which nothing can be said, and why. */
  readonly notTried: Readonly<Record<string, string>>;
}

const WAYS = Object.entries(TRESPASSES);
/** Every way is tried twice soon, so that a short run has tried them all. */
const SOON = 2 * WAYS.length;
const ACTIONS = ["subscribe", "history"] as const;
const SOON_MS = 100;
const EVERY_MS = 1_000;
/** For an answer, and for what may come behind a refusal. */
const OPEN_MS = 3_000;

/**
 * Somebody without a grant, who knows ids of the channels all the same (once had one, say), and tries to resume there, by
 * one way after the other. What it is sent without a right counts as unauthorised, each attempt once.
 */
export class Stranger {
  readonly #claims: readonly Claim[];
  readonly #counts: Counts;
  readonly #options: StrangerOptions;
  readonly #attempts = new Set<() => void>();
  readonly #timers = new Timers();
  readonly #letIn: Record<string, number> = {};
  readonly #refused: Record<string, number> = {};
  readonly #notTried: Record<string, string> = {};
  /** What everybody may do there, and why. */
  readonly #open: Partial<Record<Action, string>> = {};
  /** Those that take a right. */
  #ways: typeof WAYS = [];
  #tries = 0;
  #stopped = false;

  constructor(claims: readonly Claim[], counts: Counts, options: StrangerOptions) {
    this.#claims = claims;
    this.#counts = counts;
    this.#options = options;
    void this.#begin();
  }

  stop(): void {
    this.#stopped = true;
    this.#timers.stop();
    for (const end of this.#attempts) end();
  }

  get found(): Trespassing {
    const notTried = WAYS.flatMap(([way, { needs }]) => {
      if (this.#letIn[way] || this.#refused[way]) return [];
      return [[way, this.#open[needs] ?? this.#notTried[way] ?? "no time"] as const];
    });
    return {
      letIn: { ...this.#letIn },
      refused: { ...this.#refused },
      notTried: Object.fromEntries(notTried),
    };
  }

  /** A server may let everybody in: then nobody is without a right there. */
  async #begin(): Promise<void> {
    const [first] = this.#claims;
    if (!first) return;
    for (const action of ACTIONS) {
      const rule = await ruleFor(action, first.channel, this.#intruder()).catch(() => undefined); // then it tries
      if (rule !== undefined) this.#open[action] = `${rule} lets everybody in`;
    }
    this.#ways = WAYS.filter(([, { needs }]) => this.#open[needs] === undefined);
    if (this.#ways.length > 0) this.#go();
  }

  #go(): void {
    if (this.#stopped) return;
    const targets = this.#targets();
    if (targets) this.#try(targets);
    this.#timers.later(this.#tries < SOON ? SOON_MS : EVERY_MS, () => this.#go());
  }

  #try(targets: Targets): void {
    const [way, trespass] = this.#ways[this.#tries++ % this.#ways.length] as (typeof WAYS)[number];
    let isIn = false;
    let isRefused = false;
    let end = () => {};
    const tell = (outcome: Outcome) => {
      if (outcome === "let in" && !isIn) {
        isIn = true;
        this.#counts.unauthorised++;
        count(this.#letIn, way);
        queueMicrotask(() => end());
      } else if (outcome === "refused" && !isRefused) {
        isRefused = true;
        count(this.#refused, way);
      } else if (typeof outcome === "object" && !isIn && !isRefused) this.#notTried[way] = outcome.notTried;
    };
    const cut = trespass.begin(targets, this.#intruder(), tell);
    end = () => {
      if (!this.#attempts.delete(end)) return;
      cut();
      if (!isIn && !isRefused) this.#notTried[way] ??= `no answer in ${OPEN_MS / 1000} s`;
    };
    this.#attempts.add(end);
    this.#timers.later(OPEN_MS, () => end());
  }

  #intruder(): Intruder {
    return { url: this.#options.url, token: this.#options.token() };
  }

  /** The next of the channels in which somebody is, and another one if there is one. */
  #targets(): Targets | undefined {
    const known = this.#claims.flatMap(({ channel, position }) => (position ? [{ channel, position }] : []));
    const first = known[Math.floor(this.#tries / this.#ways.length) % known.length];
    if (!first) return undefined;
    const other = known.find(({ channel }) => channel !== first.channel);
    return other ? [first, other] : [first];
  }
}

function count(by: Record<string, number>, way: string): void {
  by[way] = (by[way] ?? 0) + 1;
}
