/** What the harness asks of the load generator and what comes back, over the IPC channel of the two processes. */

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

export type Job = FanoutJob | MemoryJob | HandshakeJob | RefusedHandshakesJob | StormJob | RestartJob;

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

export interface ResultOf {
  fanout: FanoutResult;
  memory: MemoryResult;
  handshakes: HandshakeResult;
  "refused-handshakes": RefusedHandshakesResult;
  storm: StormResult;
  restart: RestartResult;
}

export type ToLoad = { job: Job } | { go: true };
export type FromLoad = { ready: true } | { result: ResultOf[keyof ResultOf] } | { error: string };
