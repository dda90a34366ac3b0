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

export type Job = FanoutJob | MemoryJob | HandshakeJob;

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

export interface ResultOf {
  fanout: FanoutResult;
  memory: MemoryResult;
  handshakes: HandshakeResult;
}

export type ToLoad = { job: Job } | { go: true };
export type FromLoad = { ready: true } | { result: ResultOf[keyof ResultOf] } | { error: string };
