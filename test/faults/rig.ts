import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, until } from "../../deploy/local/process.ts";
import type { RedisOptions } from "../../deploy/local/redis.ts";
import { WrongClock } from "../support/clock.ts";
import { TcpProxy } from "../support/proxy.ts";
import type { GatewayNode, Haproxy, RedisServer, Stage } from "../support/servers.ts";

/** What a fault is put into: three nodes on one Redis, or on a master with replicas behind Sentinel, behind HAProxy. */
export class Rig {
  readonly stage: Stage;
  readonly haproxy: Haproxy;
  readonly nodes: GatewayNode[];
  readonly replicas: readonly RedisServer[];
  readonly #redisOptions: RedisOptions;
  readonly #nodeEnvironment: Record<string, string>;
  /** Between the first node and Redis. */
  readonly proxy: TcpProxy | undefined;
  /** Between the replica and the master. */
  readonly replication: TcpProxy | undefined;
  /** Between the clients and HAProxy. */
  readonly clients: TcpProxy | undefined;
  /** Of each node. */
  readonly clocks: readonly WrongClock[];
  redis: RedisServer;

  private constructor(parts: Parts) {
    this.stage = parts.stage;
    this.redis = parts.redis;
    this.nodes = parts.nodes;
    this.haproxy = parts.haproxy;
    this.proxy = parts.proxy;
    this.replicas = parts.replicas;
    this.replication = parts.replication;
    this.clients = parts.clients;
    this.clocks = parts.clocks;
    this.#redisOptions = parts.redisOptions;
    this.#nodeEnvironment = parts.nodeEnvironment;
  }

  static async start(stage: Stage, options: RigOptions = {}): Promise<Rig> {
    const directory = options.keeps && (await temporary(stage));
    const redisOptions: RedisOptions = {
      ...(directory !== undefined && { directory }),
      // Without an append-only file, `SAVE` and the snapshot are all that outlives it.
      ...(options.keeps === "snapshot" && { config: ["appendonly no"] }),
    };
    const redis = await stage.redis(redisOptions);
    const behind = options.sentinel ? await sentinel(stage, redis) : undefined;
    const proxy = options.proxied ? stage.add(await TcpProxy.start(redis.port)) : undefined;
    const clocks = await Promise.all(
      (options.clocks ?? []).map(async (offset) => stage.add(await WrongClock.start(offset))),
    );
    const url = behind?.url ?? redis.url;
    const nodeEnvironment = { TIDEGATE_REDIS_URL: url, TIDEGATE_DRAIN_TIME: "5s", ...options.env };
    const nodes = await Promise.all(
      ["node1", "node2", "node3"].map(async (id, i) =>
        stage.node({
          id,
          // Of a port that the system chose, the connections that are left block it for the next one.
          port: await freePort(),
          adminPort: await freePort(),
          env: {
            ...nodeEnvironment,
            ...clocks[i]?.env,
            ...(proxy && i === 0 && { TIDEGATE_REDIS_URL: `redis://127.0.0.1:${proxy.port}` }),
          },
        }),
      ),
    );
    const haproxy = await stage.haproxy({ nodes });
    await haproxy.waitForNodes(3);
    const clients = options.clientsProxied ? stage.add(await TcpProxy.start(haproxy.httpPort)) : undefined;
    const { replicas = [], replication } = behind ?? {};
    return new Rig({
      stage,
      redis,
      nodes,
      haproxy,
      proxy,
      replicas,
      replication,
      clients,
      clocks,
      redisOptions,
      nodeEnvironment,
    });
  }

  /** Where clients connect. */
  get url(): string {
    return `http://127.0.0.1:${this.clients?.port ?? this.haproxy.httpPort}`;
  }

  node(index: number): GatewayNode {
    return this.nodes[index] as GatewayNode;
  }

  /** In the place of one that is gone. */
  async restartNode(index: number): Promise<void> {
    const { id, port, adminPort } = this.node(index);
    this.nodes[index] = await this.stage.node({ id, port, adminPort, env: this.#nodeEnvironment });
  }

  /** On the same port, with whatever its directory holds. */
  async restartRedis(): Promise<void> {
    this.redis = await this.stage.redis({ ...this.#redisOptions, port: this.redis.port });
  }

  /** Kills the master and waits for a replica in its place. */
  async failOver(): Promise<void> {
    this.redis.kill("SIGKILL");
    await until(
      "a replica is master",
      async () => {
        const roles = await Promise.all(this.replicas.map((replica) => replica.cli("ROLE")));
        const master = roles.findIndex((role) => role.startsWith("master"));
        if (master >= 0) this.redis = this.replicas[master] as RedisServer;
        return master >= 0;
      },
      20_000,
    );
  }
}

export interface RigOptions {
  /** What of Redis's data outlives it. Default: nothing. */
  readonly keeps?: "everything" | "snapshot";
  readonly sentinel?: true;
  /** The first node reaches Redis, or clients reach HAProxy, through a proxy. */
  readonly proxied?: true;
  readonly clientsProxied?: true;
  /** How far the clock of each node is off, such as `+1d`. */
  readonly clocks?: readonly string[];
  readonly env?: Record<string, string>;
}

interface Parts {
  readonly stage: Stage;
  readonly redis: RedisServer;
  readonly nodes: GatewayNode[];
  readonly haproxy: Haproxy;
  readonly proxy: TcpProxy | undefined;
  readonly replicas: readonly RedisServer[];
  readonly replication: TcpProxy | undefined;
  readonly clients: TcpProxy | undefined;
  readonly clocks: readonly WrongClock[];
  readonly redisOptions: RedisOptions;
  readonly nodeEnvironment: Record<string, string>;
}

async function temporary(stage: Stage): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "tidegate-redis-"));
  stage.add({ stop: () => rm(directory, { recursive: true, force: true }) });
  return directory;
}

/** One replica, which hears of the master through a proxy, and one sentinel. */
async function sentinel(stage: Stage, master: RedisServer) {
  const replication = stage.add(await TcpProxy.start(master.port));
  const replica = await stage.redis({ replicaOf: { port: replication.port } });
  const watcher = await stage.sentinel({ master, downAfterMs: 1_000 });
  // It has read of the replica in the master's own words, which may not hold when the two speak through a proxy.
  await until(
    "the sentinel knows the replica",
    async () => {
      const lines = (await watcher.cli("SENTINEL", "MASTER", "tidegate")).split("\n");
      return lines[lines.indexOf("num-slaves") + 1] === "1";
    },
    15_000,
  );
  return {
    url: `redis+sentinel://127.0.0.1:${watcher.port}/tidegate`,
    replicas: [replica],
    replication,
  };
}
