import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { Redis } from "ioredis";
import { parseRedisUrl } from "../backplane/redis/redis-url.ts";
import type { Config } from "../config/config.ts";
import { loadUws, platform } from "../transport/uws.ts";

export interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly found: string;
}

/** Looks at everything a node needs before it starts, and says what it found. */
export async function doctor(config: Config): Promise<Finding[]> {
  return [
    nodeVersion(),
    await addon(),
    descriptors(config),
    await portFree("public port", config.host, config.port),
    await portFree("admin port", config.admin_host, config.admin_port),
    await redis(config),
  ];
}

function nodeVersion(): Finding {
  const { node, os, arch, glibc } = platform();
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const libc = os === "linux" ? `, glibc ${glibc ?? "none (musl?)"}` : "";
  return {
    what: "Node.js",
    ok: (major === 20 && minor >= 19) || major === 21 || major === 22,
    found: `${node} on ${os}-${arch}${libc}; needs 20.19 to 22`,
  };
}

async function addon(): Promise<Finding> {
  try {
    await loadUws();
    return { what: "uWebSockets.js", ok: true, found: "loads" };
  } catch (error) {
    return { what: "uWebSockets.js", ok: false, found: (error as Error).message };
  }
}

function descriptors({ max_connections }: Config): Finding {
  const what = "open files";
  try {
    const limit = execFileSync("/bin/sh", ["-c", "ulimit -n"], { encoding: "utf8" }).trim();
    // A socket each, and some for Redis, logs and the process itself.
    const enough = limit === "unlimited" || Number(limit) >= max_connections + 200;
    const needs =
      max_connections === 0
        ? "TIDEGATE_MAX_CONNECTIONS is off"
        : `TIDEGATE_MAX_CONNECTIONS is ${max_connections}`;
    return { what, ok: enough, found: `limit ${limit}; ${needs}` };
  } catch {
    return { what, ok: true, found: "the limit could not be read" };
  }
}

async function portFree(what: string, host: string, port: number): Promise<Finding> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      resolve({ what, ok: false, found: `${host}:${port}: ${error.code}` }),
    );
    server.listen(port, host, () =>
      server.close(() => resolve({ what, ok: true, found: `${host}:${port} is free` })),
    );
  });
}

async function redis({ redis_url, redis_ca }: Config): Promise<Finding> {
  const what = "Redis";
  if (redis_url === undefined)
    return { what, ok: true, found: "none configured: one node alone (TIDEGATE_REDIS_URL)" };
  const client = new Redis({
    ...parseRedisUrl(redis_url, redis_ca),
    lazyConnect: true,
    connectTimeout: 3_000,
    commandTimeout: 3_000,
    sentinelCommandTimeout: 3_000,
    retryStrategy: () => null,
    sentinelRetryStrategy: () => null,
  });
  let problem = "";
  client.on("error", (error: Error) => {
    problem = error.message;
  });
  try {
    await client.connect();
    const info = await client.info();
    const field = (name: string) => new RegExp(`^${name}:(.*)$`, "m").exec(info)?.[1]?.trim() ?? "?";
    const found = `${field("redis_version")}, ${field("redis_mode")}, role ${field("role")}, round trip ${await roundTrip(client)} ms`;
    return field("redis_mode") === "cluster"
      ? { what, ok: false, found: `${found}: a Cluster is not supported` }
      : { what, ok: field("role") === "master", found };
  } catch (error) {
    return { what, ok: false, found: problem || (error as Error).message };
  } finally {
    client.disconnect();
  }
}

async function roundTrip(client: Redis): Promise<string> {
  const start = performance.now();
  await client.ping();
  return (performance.now() - start).toFixed(1);
}
