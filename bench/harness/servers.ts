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
}

interface TidegateNode {
  child: Child;
  port: number;
}

export type StartServer = (redis: Redis) => Promise<Server>;

export const startControl: StartServer = async (redis) => {
  const port = await freePort();
  const child = new Child(SERVER_CORE, [process.execPath, CONTROL, String(port), String(redis.port)]);
  await untilReady(child, () => accepts(port));
  return {
    child,
    target: { port, pid: child.pid, ...behind(redis), secret: null, wrapsData: false },
  };
};

/** Starts a node as its users do; limits that a flood from one address would meet are off. */
export function tidegate(main: string = TIDEGATE): StartServer {
  if (!existsSync(main)) throw new Error(`${main} is missing: run \`npm run build\` first`);
  return async (redis) => {
    const node = await startNode(main, { TIDEGATE_REDIS_URL: `redis://127.0.0.1:${redis.port}` });
    const { child, port } = node;
    return {
      child,
      target: { port, pid: child.pid, ...behind(redis), secret: SECRET, wrapsData: true },
    };
  };
}

const behind = ({ port, pid }: Redis) => ({ redisPort: port, redisPid: pid });

export async function startNode(main: string, settings: Record<string, string> = {}): Promise<TidegateNode> {
  const port = await freePort();
  const adminPort = await freePort();
  const adminUrl = `http://127.0.0.1:${adminPort}`;
  const env = {
    TIDEGATE_HOST: "127.0.0.1",
    TIDEGATE_PORT: String(port),
    TIDEGATE_ADMIN_PORT: String(adminPort),
    TIDEGATE_JWT_SECRET: SECRET,
    TIDEGATE_ALLOWED_ORIGINS: "none",
    TIDEGATE_MAX_CONNECTIONS: "0",
    TIDEGATE_HANDSHAKE_RATE: "0",
    // No pings within a run, as on the control: what a heartbeat costs is the heartbeat's.
    TIDEGATE_HEARTBEAT: "300s",
    TIDEGATE_LOG_LEVEL: "warn",
    ...settings,
  };
  const child = new Child(SERVER_CORE, [process.execPath, main, "serve"], { env });
  await untilReady(child, () => isReady(adminUrl));
  return { child, port };
}

const isReady = (adminUrl: string): Promise<boolean> =>
  fetch(`${adminUrl}/readyz`).then(
    (response) => response.status === 200,
    () => false,
  );
