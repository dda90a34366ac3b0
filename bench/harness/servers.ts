import { existsSync } from "node:fs";
import type { Target } from "../load/job.ts";
import { Child } from "./child.ts";
import { SERVER_CORE } from "./cores.ts";
import { CONTROL, TIDEGATE } from "./paths.ts";
import { accepts, freePort, untilReady } from "./ports.ts";
import type { Redis } from "./redis.ts";

export const SECRET = "a-secret-for-benchmarks-and-nothing-else";

export interface Server {
  child: Child;
  target: Target;
  /** Null of the control. */
  adminUrl: string | null;
}

interface TidegateNode {
  child: Child;
  port: number;
  adminUrl: string;
}

/** Options of a node by their variables; the control has none. */
export type Settings = Record<string, string>;

export type StartServer = (redis: Redis, settings?: Settings) => Promise<Server>;

export const startControl: StartServer = async (redis) => {
  const port = await freePort();
  const child = new Child(SERVER_CORE, [process.execPath, CONTROL, String(port), String(redis.port)]);
  await untilReady(child, () => accepts(port));
  return {
    child,
    target: { port, pid: child.pid, ...behind(redis), secret: null, wrapsData: false },
    adminUrl: null,
  };
};

/** Starts a node as its users do; limits that a flood from one address would meet are off. */
export function tidegate(main: string = TIDEGATE): StartServer {
  if (!existsSync(main)) throw new Error(`${main} is missing: run \`npm run build\` first`);
  return async (redis, settings) => {
    const redisUrl = `redis://127.0.0.1:${redis.port}`;
    const { child, port, adminUrl } = await startNode(main, { TIDEGATE_REDIS_URL: redisUrl, ...settings });
    return {
      child,
      target: { port, pid: child.pid, ...behind(redis), secret: SECRET, wrapsData: true },
      adminUrl,
    };
  };
}

const behind = ({ port, pid }: Redis) => ({ redisPort: port, redisPid: pid });

export async function startNode(main: string, settings: Settings = {}): Promise<TidegateNode> {
  const env = {
    TIDEGATE_HOST: "127.0.0.1",
    TIDEGATE_PORT: String(await freePort()),
    TIDEGATE_ADMIN_PORT: String(await freePort()),
    TIDEGATE_JWT_SECRET: SECRET,
    TIDEGATE_ALLOWED_ORIGINS: "none",
    TIDEGATE_MAX_CONNECTIONS: "0",
    TIDEGATE_MAX_CONNECTIONS_PER_USER: "0",
    TIDEGATE_HANDSHAKE_RATE: "0",
    // The control has 16 MB for each socket and no limit for all.
    TIDEGATE_MAX_NODE_QUEUED_BYTES: "0",
    // No pings within a run, as on the control: what a heartbeat costs is the heartbeat's.
    TIDEGATE_HEARTBEAT: "300s",
    TIDEGATE_LOG_LEVEL: "warn",
    ...settings,
  };
  const adminUrl = `http://127.0.0.1:${env.TIDEGATE_ADMIN_PORT}`;
  const child = new Child(SERVER_CORE, [process.execPath, main, "serve"], { env });
  await untilReady(child, () => isReady(adminUrl));
  return { child, port: Number(env.TIDEGATE_PORT), adminUrl };
}

const isReady = (adminUrl: string): Promise<boolean> =>
  fetch(`${adminUrl}/readyz`).then(
    (response) => response.status === 200,
    () => false,
  );
