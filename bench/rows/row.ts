import { runLoad } from "../harness/load.ts";
import { untilQuiet } from "../harness/quiet.ts";
import type { Redis } from "../harness/redis.ts";
import type { Server, Settings, StartServer } from "../harness/servers.ts";
import type { FanoutJob } from "../load/job.ts";
import type { FanoutResult } from "../load/result.ts";

/** Where a row runs. */
export interface Bench {
  redis: Redis;
  control: StartServer;
  subject: StartServer;
  repetitions: number;
  warmupMs: number;
  windowMs: number;
  settleMs: number;
  /** How long to wait for a quiet machine before each trial. */
  patienceMs: number;
  note(text: string): void;
}

/** A node's own, which a load of one user from one address would pass otherwise. */
export const DEFAULT_LIMITS = {
  TIDEGATE_HANDSHAKE_RATE: "2000",
  TIDEGATE_MAX_CONNECTIONS: "15000",
  TIDEGATE_MAX_CONNECTIONS_PER_USER: "100",
  TIDEGATE_MAX_NODE_QUEUED_BYTES: "256MiB",
} as const;

/** One figure of both servers, a value per repetition, and the bar it is held against. */
export interface Measure {
  name: string;
  unit: string;
  control: number[];
  subject: number[];
  /** `ratio`: subject against control of the same repetition. `value`: the subject's own figure. `shown`: no bar. */
  bar: { of: "ratio" | "value"; atMost?: number; atLeast?: number } | "shown";
}

export interface Row {
  name: string;
  what: string;
  /** About what the control does not do: tokens, limits, a fleet. */
  nodesOnly?: true;
  run(bench: Bench): Promise<Measure[]>;
}

// The kernel tells user from system time by where its clock tick finds the process, and 50 or 200 events/s keep step
// with a tick of 250 a second: each event would be seen in the same phase for ever. A hair off, all phases are seen.
export const OFF_THE_TICK = 1.013;

/** Runs `trial` against a fresh control and a fresh subject in turn, the order changing with each repetition. */
export async function compare<T>(
  bench: Bench,
  trial: (server: Server, who: "control" | "subject") => Promise<T>,
): Promise<{ control: T[]; subject: T[] }> {
  const results = { control: [] as T[], subject: [] as T[] };
  for (let repetition = 0; repetition < bench.repetitions; repetition++) {
    const order = ["control", "subject"] as const;
    for (const who of repetition % 2 === 0 ? order : [...order].reverse()) {
      await untilQuiet(bench.patienceMs);
      const server = await bench[who](bench.redis);
      try {
        results[who].push(await trial(server, who));
      } finally {
        await server.child.stop();
      }
    }
  }
  return results;
}

/** Runs `trial` once per repetition, each on a quiet machine: for rows of which the control has no counterpart. */
export async function repeat<T>(bench: Bench, trial: (repetition: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let repetition = 0; repetition < bench.repetitions; repetition++) {
    await untilQuiet(bench.patienceMs);
    results.push(await trial(repetition));
  }
  return results;
}

/** A node for such a row. */
export function startSubject(bench: Bench, settings?: Settings): Promise<Server> {
  return bench.subject(bench.redis, settings);
}

/** Makes measures of a row that the control has no part in. */
export function measuring<T>(
  results: readonly T[],
): (name: string, unit: string, of: (result: T) => number, bar: Measure["bar"]) => Measure {
  return (name, unit, of, bar) => ({ name, unit, control: [], subject: results.map(of), bar });
}

export type FanoutPlan = Pick<FanoutJob, "sockets" | "channels" | "eventsPerSecond"> & { burst?: number };

/** One fan-out run; fails when an event was lost, repeated or out of order, notes when the generator itself was late. */
export async function fanout(
  bench: Bench,
  server: Server,
  plan: FanoutPlan,
  whenReady?: () => Promise<void>,
): Promise<FanoutResult> {
  const result = await tryFanout(bench, server, plan, whenReady);
  const complaint = whatWasLost(result);
  if (complaint !== null) throw new Error(`${complaint} at ${plan.eventsPerSecond} events/s`);
  return result;
}

export async function tryFanout(
  bench: Bench,
  server: Server,
  plan: FanoutPlan,
  whenReady?: () => Promise<void>,
): Promise<FanoutResult> {
  const { warmupMs, windowMs } = bench;
  const job = { task: "fanout" as const, target: server.target, burst: 1, warmupMs, windowMs, ...plan };
  return runLoad(job, whenReady);
}

export function whatWasLost({
  expected,
  received,
  disordered,
  closed,
}: Pick<FanoutResult, "expected" | "received" | "disordered" | "closed">): string | null {
  if (closed > 0) return `${closed} connections closed`;
  if (received !== expected) return `${expected - received} of ${expected} deliveries lost`;
  if (disordered > 0) return `${disordered} deliveries out of order`;
  return null;
}
