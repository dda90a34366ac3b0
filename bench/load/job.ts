/** What the harness asks of the load generator, over the IPC channel of the two processes. */

import type { AttackJob, HostileNeighbourJob } from "./hostile-job.ts";
import type { ResultOf } from "./result.ts";

/** The server under load, and the Redis behind it. */
export interface Target {
  port: number;
  pid: number;
  redisPort: number;
  redisPid: number;
  /** Set for a server that wants a token: the HS256 secret to sign with. */
  secret: string | null;
  /** A bare server delivers what was published; it is given the whole event, so that both put equal bytes on the wire. */
  wrapsData: boolean;
}

export interface FanoutJob {
  task: "fanout";
  target: Target;
  sockets: number;
  /** Socket i listens to channel i modulo this number; events go round the channels in the same order. */
  channels: number;
  eventsPerSecond: number;
  /** Events sent at one instant; 1 spreads them evenly. */
  burst: number;
  warmupMs: number;
  windowMs: number;
}

export interface MemoryJob {
  task: "memory";
  target: Target;
  sockets: number;
  channels: number;
  furtherChannels: number;
  furtherPerSocket: number;
  settleMs: number;
}

export interface HandshakeJob {
  task: "handshakes";
  target: Target;
  concurrency: number;
  warmupMs: number;
  windowMs: number;
}

/** Handshakes by the clock, in two streams whose instants are random (Poisson). */
export interface RefusedHandshakesJob {
  task: "refused-handshakes";
  target: Target;
  acceptedPerSecond: number;
  /** Of tokens that somebody else signed. */
  refusedPerSecond: number;
  warmupMs: number;
  windowMs: number;
}

/** All clients lose their connections at once, and come back. */
export interface StormJob {
  task: "storm";
  target: Target;
  metricsUrl: string;
  sockets: number;
  channels: number;
  settleMs: number;
}

/** Clients that move when they are told to, while events flow. */
export interface RestartJob {
  task: "restart";
  /** The balancer's port. */
  target: Target;
  sockets: number;
  channels: number;
  eventsPerSecond: number;
  warmupMs: number;
  /** Before the nodes are restarted. */
  windowMs: number;
}

/** `PUBLISH`, and the functions `tidegate_append` (for nodes) and `tidegate_publish` (for anybody). */
export type PublishWay = "plain" | "append" | "publish";

/** Publishing in three ways by turns, to measure Redis. */
export interface PublishCostJob {
  task: "publish-cost";
  redisPort: number;
  /** Connections that listen, as many as there would be nodes. */
  subscribers: number;
  /** Calls under way at a time. */
  depth: number;
  warmupMs: number;
  /** Of each way. */
  windowMs: number;
}

/** Fan-out of what is published plainly and with history, by turns. */
export interface FanoutHistoryJob {
  task: "fanout-history";
  target: Target;
  sockets: number;
  eventsPerSecond: number;
  warmupMs: number;
  /** Of each way. */
  windowMs: number;
}

/** One of several nodes dies, everybody is cut off, and comes back to the others with `since`, while events flow. */
/** Clients of one transport that listen to all channels. */
export interface StreamsJob {
  task: "streams";
  target: Target;
  transport: "websocket" | "sse";
  sockets: number;
  channels: number;
  eventsPerSecond: number;
  warmupMs: number;
  windowMs: number;
}

export interface ResumeStormJob {
  task: "resume-storm";
  /** The first one is killed. */
  nodes: Target[];
  sockets: number;
  channels: number;
  /** Over all channels. */
  eventsPerSecond: number;
  /** From the kill to the first attempt to come back. */
  awayMs: number;
  /** First attempts to come back, at all nodes together. */
  attemptsPerSecond: number;
  warmupMs: number;
  /** Of steady flow, before the kill and when all are back. */
  windowMs: number;
}

/** Every connection is cut again and again, and comes back to the next node with `since`, while events flow. */
export interface JitterJob {
  task: "jitter";
  nodes: Target[];
  sockets: number;
  /** All on one channel. */
  events: number;
  eventsPerSecond: number;
  /** From `subscribed` to the cut, a fifth more or less at random. */
  onlineMs: number;
  awayMs: number;
}

/** The node that has all clients is stopped or killed, while events flow. */
export interface AvalancheJob {
  task: "avalanche";
  /** The first one has all clients, and goes. */
  nodes: Target[];
  sockets: number;
  channels: number;
  /** Over all channels. */
  eventsPerSecond: number;
  warmupMs: number;
  /** Of steady flow, before it goes and when all are back. */
  windowMs: number;
}

export type Job =
  | FanoutJob
  | MemoryJob
  | HandshakeJob
  | RefusedHandshakesJob
  | StormJob
  | RestartJob
  | PublishCostJob
  | FanoutHistoryJob
  | ResumeStormJob
  | StreamsJob
  | JitterJob
  | AvalancheJob
  | HostileNeighbourJob
  | AttackJob;

export type ToLoad = { job: Job } | { go: true };
export type FromLoad = { ready: true } | { result: ResultOf[keyof ResultOf] } | { error: string };
