import type { Target } from "./job.ts";
import type { Usage } from "./result.ts";

/** Fan-out in four turns, ABBA; the harness has the node attacked in the second and third. */
export interface HostileNeighbourJob {
  task: "hostile-neighbour";
  target: Target;
  /** All on one channel. */
  sockets: number;
  eventsPerSecond: number;
  warmupMs: number;
  /** Of each turn. */
  windowMs: number;
}

/** Over both turns of a way. */
export interface NeighbourResult extends Usage {
  deliveries: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

export interface HostileNeighbourResult {
  alone: NeighbourResult;
  hostile: NeighbourResult;
  /** How late the generator itself published. */
  lagP99Ms: number;
  /** Over the whole run, warm-up included. */
  expected: number;
  received: number;
  disordered: number;
  closed: number;
}

/** Everything that a node must refuse, at fixed rates; begins at the first `go` and ends at the second. */
export interface AttackJob {
  task: "attack";
  target: Target;
}

export interface AttackResult {
  seconds: number;
  /** Connections that each kind of attack began. */
  begun: Record<string, number>;
  /** How many of them the node ended. */
  ended: Record<string, number>;
  /** Of handshakes, good ones and bad: how many were begun long enough ago, and had no answer by then. */
  handshakes: number;
  unanswered: number;
  /** Share of one core. */
  busy: number;
}
