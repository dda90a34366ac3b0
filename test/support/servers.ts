import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, test as base } from "vitest";
import { type Haproxy, type HaproxyOptions, startHaproxy } from "../../deploy/local/haproxy.ts";
import { type GatewayNode, type NodeOptions, startNode } from "../../deploy/local/node.ts";
import { root, until } from "../../deploy/local/process.ts";
import {
  type RedisOptions,
  type RedisServer,
  type SentinelOptions,
  startRedis,
  startSentinel,
} from "../../deploy/local/redis.ts";
import { Client, type ClientOptions } from "./client.ts";
import { SECRET } from "./token.ts";

export type { GatewayNode, Haproxy, RedisServer };

interface Stoppable {
  stop(): unknown;
}

/** Starts what a test needs, and stops it, newest first, however the test ends. */
export class Stage {
  readonly #started: Stoppable[] = [];

  add<T extends Stoppable>(started: T): T {
    this.#started.push(started);
    return started;
  }

  async redis(options?: RedisOptions): Promise<RedisServer> {
    return this.add(await startRedis(options));
  }

  async sentinel(options: SentinelOptions): Promise<RedisServer> {
    return this.add(await startSentinel(options));
  }

  /** A node in production mode, with `SECRET`. */
  async node(options: NodeOptions & { redis?: RedisServer } = {}): Promise<GatewayNode> {
    const { redis, env, ...rest } = options;
    const defaults = {
      TIDEGATE_JWT_SECRET: SECRET,
      TIDEGATE_ALLOWED_ORIGINS: "none",
      TIDEGATE_DRAIN_TIME: "0s",
      // Most tests are one user with many connections.
      TIDEGATE_MAX_CONNECTIONS_PER_USER: "0",
      ...(redis && { TIDEGATE_REDIS_URL: redis.url }),
    };
    return this.add(await startNode({ ...rest, env: { ...defaults, ...env } }));
  }

  async haproxy(options: HaproxyOptions): Promise<Haproxy> {
    execFileSync(join(root, "deploy/certificate.sh"));
    return this.add(await startHaproxy(options));
  }

  /** Connected and welcomed. */
  async client(url: string, options?: ClientOptions): Promise<Client> {
    return this.add(await Client.connect(url, options));
  }

  async clients(count: number, url: string, options?: ClientOptions): Promise<Client[]> {
    return Promise.all(Array.from({ length: count }, () => this.client(url, options)));
  }

  async stop(): Promise<void> {
    for (const one of this.#started.splice(0).reverse()) await one.stop();
  }
}

/** A stage for all tests of a file. */
export function sharedStage(): Stage {
  const stage = new Stage();
  afterAll(() => stage.stop());
  return stage;
}

/** `test` with a stage of its own: `test("…", async ({ stage }) => …)`. */
export const test = base.extend<{ stage: Stage }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the names of other fixtures from this pattern
  stage: async ({}, use) => {
    const stage = new Stage();
    try {
      await use(stage);
    } finally {
      await stage.stop();
    }
  },
});

export type LogEntry = Record<string, unknown> & { msg: string };

/** The log of a node so far. */
export function logOf(node: GatewayNode): LogEntry[] {
  return node.output.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as LogEntry);
}

/** Waits for a log line: they leave the node every 200 ms. */
export async function logged(node: GatewayNode, matches: (entry: LogEntry) => boolean): Promise<LogEntry> {
  await until(`${node.id} logs what is waited for`, () => logOf(node).some(matches), 5_000);
  return logOf(node).find(matches) as LogEntry;
}
