/** What comes back from the load generator, by the task. */

import type { AttackResult, HostileNeighbourResult } from "./hostile-job.ts";
import type { PublishWay } from "./job.ts";

/** Within the measured window. */
export interface Usage {
  seconds: number;
  /** The server's. */
  userMicros: number;
  systemMicros: number;
  /** Shares of one core. */
  generatorBusy: number;
  foreignBusy: number;
}

export interface FanoutResult extends Usage {
  /** Within the window. */
  deliveries: number;
  /** From the intended instant of publishing to the read that brought the event. */
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  /** How late the generator itself published. */
  lagP99Ms: number;
  /** Over the whole run, warm-up included. */
  bursts: number;
  expected: number;
  received: number;
  disordered: number;
  closed: number;
  frameBytes: number;
}

export interface MemoryResult {
  emptyBytes: number;
  connectedBytes: number;
  subscribedBytes: number;
  connections: number;
  furtherSubscriptions: number;
}

export interface HandshakeResult extends Usage {
  handshakes: number;
  failures: number;
}

export interface RefusedHandshakesResult extends Usage {
  accepted: number;
  refused: number;
  /** Of the accepted ones, from the instant at which they should have begun to the first frame. */
  p50Ms: number;
  p99Ms: number;
}

export interface StormResult {
  /** Most handshakes that were accepted within one second. */
  peakPerSecond: number;
  /** From the cut until everybody was subscribed again. */
  backMs: number;
  attempts: number;
  refused: number;
  /** Attempts that failed without an answer. */
  failed: number;
  /** The window in which the node asked its clients to come back. */
  reconnect: { min: number; max: number };
  /** The node's event loop, from the cut until then. */
  lagP99Ms: number;
  lagMaxMs: number;
  /** The generator's own. */
  generatorLagMs: number;
}

export interface RestartResult {
  steadyP99Ms: number;
  restartP99Ms: number;
  restartMaxMs: number;
  /** Of each node that drained: when each of its clients opened its next connection, in the order of time. */
  moves: Record<string, number[]>;
  expected: number;
  lost: number;
  /** Came on both connections of a client that moved. */
  twice: number;
  /** Connections that ended before the next one was there. */
  cut: string[];
  /** Next connections that were not accepted at the first try. */
  refused: string[];
  /** How late the generator itself published. */
  lagP99Ms: number;
}

/** Of one way. */
export interface PublishCost {
  calls: number;
  seconds: number;
  redisMicros: number;
}

export interface PublishCostResult extends Record<PublishWay, PublishCost> {
  /** Share of one core. */
  foreignBusy: number;
}

/** Of one way, over all its turns. */
export interface WayResult extends Usage {
  deliveries: number;
  p99Ms: number;
  frameBytes: number;
}

export interface FanoutHistoryResult {
  plain: WayResult;
  history: WayResult;
  /** How late the generator itself published. */
  lagP99Ms: number;
  /** Over the whole run, warm-up included. */
  expected: number;
  received: number;
  disordered: number;
  closed: number;
}

export interface StreamsResult extends Usage {
  deliveries: number;
  expected: number;
  received: number;
  disordered: number;
  closed: number;
  lagP99Ms: number;
}

export interface ResumeStormResult {
  /** From the kill, and from the first attempt to come back, until the last client had all up to the head of then. */
  killToLastMs: number;
  firstToLastMs: number;
  /** From the first attempt until the last `subscribed`. */
  firstToSubscribedMs: number;
  /** From a client's attempt that was accepted until it had all that it had missed. */
  resumeP50Ms: number;
  resumeP99Ms: number;
  resumed: number;
  /** Times that a client was told that not all can be had, and what it was told first. */
  notResumed: number;
  notResumedFor: string | null;
  missedLeast: number;
  missedMean: number;
  missedMost: number;
  /** Of all events of all clients, from the first to the last that was published. */
  expected: number;
  lost: number;
  duplicated: number;
  /** Attempts to come back that were refused for the rate, and that ended without an answer. */
  refused: number;
  failed: number;
  /** Subscriptions that were answered by a temporary error, and asked for again. */
  postponed: number;
  /** Share of one core, from the first attempt until all were up to date. */
  generatorBusy: number;
  /** How late the generator itself published. */
  lagP99Ms: number;
}

/** What became of clients that lose their connections, and of their events. */
export interface Returned {
  expected: number;
  lost: number;
  /** Came to a client that had it, on whatever connection. */
  duplicated: number;
  /** Missed events that `subscribed` announced, of all clients together. */
  resumed: number;
  /** Times that a client was told that not all can be had, and what it was told first. */
  notResumed: number;
  notResumedFor: string | null;
  /** Connections that ended while the client had no other. */
  cuts: number;
  /** Those that we did not cut ourselves, by how they ended. */
  endedBy: Record<string, number>;
  /** Next connections that were subscribed before the last one ended. */
  moves: number;
  /** Clients that are not subscribed at the end. */
  notBack: number;
  /** From the end of a connection to `subscribed` on the next; 0 of a move. */
  backP50Ms: number;
  backP95Ms: number;
  backMaxMs: number;
  /** Attempts that were refused for the rate or a full node, and that ended without an answer. */
  refused: number;
  failed: number;
  /** Subscriptions that were answered by a temporary error, and asked for again. */
  postponed: number;
  /** Of first arrivals, also by resuming: from the intended instant of publishing. */
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  /** Shares of one core. */
  generatorBusy: number;
  foreignBusy: number;
  /** How late the generator itself published. */
  lagP99Ms: number;
}

export interface ResultOf {
  fanout: FanoutResult;
  memory: MemoryResult;
  handshakes: HandshakeResult;
  "refused-handshakes": RefusedHandshakesResult;
  storm: StormResult;
  restart: RestartResult;
  "publish-cost": PublishCostResult;
  "fanout-history": FanoutHistoryResult;
  "resume-storm": ResumeStormResult;
  streams: StreamsResult;
  jitter: Returned;
  avalanche: Returned;
  "hostile-neighbour": HostileNeighbourResult;
  attack: AttackResult;
}
