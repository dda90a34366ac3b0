import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort, Process, type ProcessOptions, withFreePorts } from "./process.ts";

export interface RedisOptions extends Pick<ProcessOptions, "onLine"> {
  /** A free one when missing. */
  port?: number;
  /** Of the default user. */
  password?: string;
  /** A user beside the default one, with ACL rules such as `~* &* +@all`; `url` and `cli` then use it. */
  user?: { name: string; password: string; rules: string };
  /** Speaks only TLS. One file may hold certificate and key. */
  tls?: { certificate: string; key: string; ca?: string };
  /** A cluster of this one server, which owns all slots. */
  cluster?: boolean;
  replicaOf?: { port: number; password?: string };
  /** Keeps an append-only file there, and leaves it behind. Without it nothing outlives the server. */
  directory?: string;
  /** Further lines of redis.conf. */
  config?: string[];
}

export interface SentinelOptions extends Pick<ProcessOptions, "onLine"> {
  port?: number;
  /** The master's name, default `tidegate`. */
  name?: string;
  master: { port: number; password?: string };
  /** Default 1: this sentinel alone decides. */
  quorum?: number;
  downAfterMs?: number;
  /** Asked of the sentinel's own clients. */
  password?: string;
  config?: string[];
}

/** A Redis or Sentinel on 127.0.0.1. */
export class RedisServer {
  readonly process: Process;
  readonly port: number;
  readonly url: string;
  readonly #directory: string;
  readonly #cli: string[];
  readonly #password: string | undefined;

  constructor(process: Process, port: number, directory: string, options: Access) {
    const { user, tls } = options;
    this.process = process;
    this.port = port;
    this.#directory = directory;
    this.#password = user?.password ?? options.password;
    this.#cli = ["-h", "127.0.0.1", "-p", String(port)];
    if (user) this.#cli.push("--user", user.name);
    if (tls) this.#cli.push("--tls", "--cacert", tls.ca ?? tls.certificate);
    const who =
      this.#password === undefined ? "" : `${user?.name ?? ""}:${encodeURIComponent(this.#password)}@`;
    this.url = `${tls ? "rediss" : "redis"}://${who}127.0.0.1:${port}`;
  }

  get pid(): number {
    return this.process.pid;
  }

  get output(): readonly string[] {
    return this.process.output;
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.process.kill(signal);
  }

  async stop(): Promise<void> {
    await this.process.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** What `redis-cli` prints, without the last line break: `cli("PUBLISH", "tidegate:chat-123", "{}")`. */
  async cli(...args: string[]): Promise<string> {
    // By environment: a password among the arguments could be read in the process list.
    const env = { ...process.env, ...(this.#password !== undefined && { REDISCLI_AUTH: this.#password }) };
    const { stdout } = await promisify(execFile)("redis-cli", [...this.#cli, ...args], { env });
    return stdout.replace(/\n$/, "");
  }
}

type Access = Pick<RedisOptions, "user" | "password" | "tls">;

export function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  if (options.port !== undefined) return launch(options, options.port);
  return withFreePorts(async () => launch(options, await freePort()));
}

export function startSentinel(options: SentinelOptions): Promise<RedisServer> {
  if (options.port !== undefined) return launchSentinel(options, options.port);
  return withFreePorts(async () => launchSentinel(options, await freePort()));
}

async function launch(options: RedisOptions, port: number): Promise<RedisServer> {
  const { user, password, tls, replicaOf } = options;
  const config = [
    "bind 127.0.0.1",
    tls ? "port 0" : `port ${port}`,
    'save ""',
    options.directory === undefined ? "appendonly no" : "appendonly yes",
    "repl-diskless-sync-delay 0",
  ];
  if (options.directory !== undefined) config.push(`dir "${options.directory}"`);
  if (password !== undefined) config.push(`requirepass "${password}"`);
  if (user) config.push(`user ${user.name} on >${user.password} ${user.rules}`);
  if (tls) {
    config.push(`tls-port ${port}`, `tls-cert-file "${tls.certificate}"`, `tls-key-file "${tls.key}"`);
    config.push(
      `tls-ca-cert-file "${tls.ca ?? tls.certificate}"`,
      "tls-auth-clients no",
      "tls-replication yes",
    );
  }
  // The bus port would be `port` + 10000, which may not exist.
  if (options.cluster) config.push("cluster-enabled yes", `cluster-port ${await freePort()}`);
  if (replicaOf) config.push(`replicaof 127.0.0.1 ${replicaOf.port}`);
  if (replicaOf?.password !== undefined) config.push(`masterauth "${replicaOf.password}"`);
  config.push(...(options.config ?? []));

  const ready = replicaOf ? /sync: Finished with success/ : /Ready to accept connections/;
  const server = await run(`redis:${port}`, config, [], ready, port, options, options.onLine);
  if (options.cluster) await server.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
  return server;
}

function launchSentinel(options: SentinelOptions, port: number): Promise<RedisServer> {
  const { name = "tidegate", master, password } = options;
  const downAfterMs = options.downAfterMs ?? 1_000;
  const config = [
    "bind 127.0.0.1",
    `port ${port}`,
    `sentinel monitor ${name} 127.0.0.1 ${master.port} ${options.quorum ?? 1}`,
    `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
    `sentinel failover-timeout ${name} ${downAfterMs * 5}`,
  ];
  if (master.password !== undefined) config.push(`sentinel auth-pass ${name} "${master.password}"`);
  if (password !== undefined) config.push(`requirepass "${password}"`);
  config.push(...(options.config ?? []));
  const access = password === undefined ? {} : { password };
  return run(`sentinel:${port}`, config, ["--sentinel"], /\+monitor master/, port, access, options.onLine);
}

async function run(
  name: string,
  config: string[],
  args: string[],
  ready: RegExp,
  port: number,
  access: Access,
  onLine: ((line: string) => void) | undefined,
): Promise<RedisServer> {
  const directory = await mkdtemp(join(tmpdir(), "tidegate-redis-"));
  // A file, because a sentinel writes its state back into it, and passwords do not belong among the arguments.
  // `dir` comes first so that a later line can say otherwise.
  const file = join(directory, "redis.conf");
  await writeFile(file, [`dir "${directory}"`, ...config, ""].join("\n"), { mode: 0o600 });
  const server = new Process(name, "redis-server", [file, ...args], { ...(onLine && { onLine }) });
  try {
    await server.line(ready);
  } catch (error) {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
  return new RedisServer(server, port, directory, access);
}
