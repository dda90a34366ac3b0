import { join } from "node:path";
import { Process, type ProcessOptions, root, until } from "./process.ts";

export interface NodeOptions extends Pick<ProcessOptions, "onLine" | "graceMs"> {
  /** TIDEGATE_NODE_ID. */
  id?: string;
  /** 0, the default, lets the system choose. */
  port?: number;
  adminPort?: number;
  /** Everything else that is configured, `TIDEGATE_REDIS_URL` for one. No TIDEGATE_* is inherited. */
  env?: Record<string, string>;
  /** After `serve`. */
  args?: string[];
  /** For `node` itself, such as `--max-old-space-size=64`. */
  nodeArgs?: string[];
  /** Default: wait until `/readyz` says 200. */
  waitReady?: boolean;
}

/** One `tidegate serve` out of dist/, on 127.0.0.1. */
export class GatewayNode {
  readonly process: Process;
  readonly id: string;
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  readonly admin: string;

  constructor(process: Process, id: string, url: string, admin: string) {
    this.process = process;
    this.id = id;
    this.url = url;
    this.admin = admin;
  }

  /** `ws://127.0.0.1:<port>/ws`. */
  get webSocketUrl(): string {
    return `${this.url.replace("http", "ws")}/ws`;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get adminPort(): number {
    return Number(new URL(this.admin).port);
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

  stop(): Promise<void> {
    return this.process.stop();
  }

  async isReady(): Promise<boolean> {
    const response = await fetch(`${this.admin}/readyz`, { signal: AbortSignal.timeout(1_000) });
    await response.arrayBuffer();
    return response.status === 200;
  }
}

/** The environment of this process without its own TIDEGATE_* variables. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("TIDEGATE_")));
}

/** Expects an up-to-date dist/: see bin/build.js. */
export async function startNode(options: NodeOptions = {}): Promise<GatewayNode> {
  const {
    id = "node1",
    port = 0,
    adminPort = 0,
    args = [],
    nodeArgs = [],
    onLine,
    graceMs = 5_000,
  } = options;
  const env = {
    ...cleanEnvironment(),
    TIDEGATE_HOST: "127.0.0.1",
    TIDEGATE_PORT: String(port),
    TIDEGATE_ADMIN_HOST: "127.0.0.1",
    TIDEGATE_ADMIN_PORT: String(adminPort),
    TIDEGATE_NODE_ID: id,
    ...options.env,
  };
  const command = [...nodeArgs, join(root, "dist/main.js"), "serve", ...args];
  const child = new Process(id, process.execPath, command, { env, graceMs, ...(onLine && { onLine }) });
  try {
    const { url, admin } = JSON.parse(await child.line(/"msg":"listening"/)) as {
      url: string;
      admin: string;
    };
    const node = new GatewayNode(child, id, url, admin);
    if (options.waitReady ?? true) {
      await until(`${id} is ready`, () => {
        if (!child.isRunning) throw child.failure("ended");
        return node.isReady();
      });
    }
    return node;
  } catch (error) {
    await child.stop();
    throw error;
  }
}
