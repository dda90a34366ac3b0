import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { freePort, Process, type ProcessOptions, root, until, withFreePorts } from "./process.ts";

export interface HaproxyOptions extends Pick<ProcessOptions, "onLine"> {
  /** One to three nodes. The places of missing ones stay, and are down. */
  nodes: { port: number; adminPort: number }[];
  /** Free ones when missing. */
  httpsPort?: number;
  httpPort?: number;
  metricsPort?: number;
  /** PEM with certificate and key; default the one of `npm run certificate`. */
  certificate?: string;
  maxConnections?: number;
  /** Further HAPROXY_* variables. Without them no client is limited: on one machine all have one address. */
  env?: Record<string, string>;
  /** Default `haproxy.cfg` of the repository. */
  file?: string;
  args?: string[];
}

export interface ServerState {
  /** `node1` to `node3`. */
  name: string;
  /** `UP`, `DOWN`, `MAINT`, `UP 1/2`… */
  status: string;
  /** Connections that it has, and requests that it ever got. */
  current: number;
  total: number;
}

/** An HAProxy with the repository's configuration, on 127.0.0.1. Its log is `output`. */
export class Haproxy {
  readonly process: Process;
  readonly httpsPort: number;
  readonly httpPort: number;
  readonly metricsPort: number;
  readonly #directory: string;

  constructor(process: Process, ports: Ports, directory: string) {
    this.process = process;
    this.httpsPort = ports.https;
    this.httpPort = ports.http;
    this.metricsPort = ports.metrics;
    this.#directory = directory;
  }

  /** `http://127.0.0.1:<port>`. */
  get url(): string {
    return `http://127.0.0.1:${this.httpPort}`;
  }

  get httpsUrl(): string {
    return `https://127.0.0.1:${this.httpsPort}`;
  }

  /** `ws://…/ws`. */
  get webSocketUrl(): string {
    return `ws://127.0.0.1:${this.httpPort}/ws`;
  }

  /** `wss://…/ws`. */
  get secureWebSocketUrl(): string {
    return `wss://127.0.0.1:${this.httpsPort}/ws`;
  }

  get metricsUrl(): string {
    return `http://127.0.0.1:${this.metricsPort}/metrics`;
  }

  get socket(): string {
    return join(this.#directory, "socket");
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

  /** A command of HAProxy's runtime API: `command("set server gateway/node1 state maint")`. */
  command(line: string): Promise<string> {
    const socket = connect(this.socket);
    socket.end(`${line}\n`);
    return text(socket);
  }

  async servers(): Promise<ServerState[]> {
    const [head = "", ...rows] = (await this.command("show stat gateway 4 -1")).trim().split("\n");
    const columns = head.replace(/^# /, "").split(",");
    return rows.map((row) => {
      const cells = row.split(",");
      const cell = (name: string) => cells[columns.indexOf(name)] ?? "";
      return {
        name: cell("svname"),
        status: cell("status"),
        current: Number(cell("scur")),
        total: Number(cell("stot")),
      };
    });
  }

  /** Until so many nodes are up by a health check: HAProxy believes in all of them before the first one. */
  waitForNodes(count: number, timeoutMs?: number): Promise<void> {
    return until(
      `${count} nodes are up at HAProxy`,
      async () => {
        const states = await this.command("show stat gateway 4 -1");
        const up = (await this.servers()).filter((server) => server.status.startsWith("UP"));
        return up.length === count && !states.includes(",INI,");
      },
      timeoutMs,
    );
  }
}

interface Ports {
  https: number;
  http: number;
  metrics: number;
}

export function startHaproxy(options: HaproxyOptions): Promise<Haproxy> {
  return withFreePorts(async () =>
    launch(options, {
      https: options.httpsPort ?? (await freePort()),
      http: options.httpPort ?? (await freePort()),
      metrics: options.metricsPort ?? (await freePort()),
    }),
  );
}

async function launch(options: HaproxyOptions, ports: Ports): Promise<Haproxy> {
  // Short: the path of a Unix socket has about 100 characters at most.
  const directory = await mkdtemp(join(tmpdir(), "tidegate-haproxy-"));
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    HAPROXY_HTTPS_BIND: `127.0.0.1:${ports.https}`,
    HAPROXY_HTTP_BIND: `127.0.0.1:${ports.http}`,
    HAPROXY_METRICS_BIND: `127.0.0.1:${ports.metrics}`,
    HAPROXY_STATS_SOCKET: join(directory, "socket"),
    HAPROXY_CERTIFICATE: options.certificate ?? join(root, ".tidegate/certificate.pem"),
    HAPROXY_MAXCONN: String(options.maxConnections ?? 9_000),
    HAPROXY_MAXCONN_PER_ADDRESS: "1000000",
    HAPROXY_CONN_RATE_PER_ADDRESS: "1000000",
    HAPROXY_ERRORS_PER_ADDRESS: "1000000",
    ...options.env,
  };
  for (const index of [0, 1, 2]) {
    // Port 9, where nobody listens.
    const { port, adminPort } = options.nodes[index] ?? { port: 9, adminPort: 9 };
    env[`HAPROXY_NODE${index + 1}`] = `127.0.0.1:${port}`;
    env[`HAPROXY_NODE${index + 1}_ADMIN`] = String(adminPort);
  }
  const { file = join(root, "haproxy.cfg"), args = [], onLine } = options;
  // -db: in the foreground, one process, whatever the file says.
  const child = new Process("haproxy", "haproxy", ["-db", "-f", file, ...args], {
    env,
    ...(onLine && { onLine }),
  });
  const haproxy = new Haproxy(child, ports, directory);
  try {
    await until("haproxy answers", async () => {
      if (!child.isRunning) return true;
      return (await haproxy.command("show info")).includes("Uptime");
    });
    if (!child.isRunning) throw child.failure("ended");
    return haproxy;
  } catch (error) {
    await haproxy.stop();
    throw error;
  }
}
