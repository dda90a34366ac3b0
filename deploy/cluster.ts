import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import build from "../bin/build.js";
import { type Haproxy, startHaproxy } from "./local/haproxy.ts";
import { cleanEnvironment, startNode } from "./local/node.ts";
import { freePort, isFree, type Process, root, until } from "./local/process.ts";
import { type RedisServer, startRedis } from "./local/redis.ts";

// `npm run cluster`: Redis, three nodes and HAProxy on this machine, until Ctrl-C.
// `npm run cluster -- --logs` shows what they say.

const httpsPort = 8443;
const httpPort = 8088;
const metricsPort = 8404;
const nodes = [
  { id: "node1", port: 8081, adminPort: 9091 },
  { id: "node2", port: 8082, adminPort: 9092 },
  { id: "node3", port: 8083, adminPort: 9093 },
];
/** A node that ends sooner would end again. */
const MIN_LIFE_MS = 2_000;
const secret = randomBytes(32).toString("hex");
const showLogs = process.argv.includes("--logs");

interface Part {
  readonly process: Process;
  kill(): void;
  stop(): Promise<void>;
}

const parts: Part[] = [];
let isEnding = false;
let endingSince = 0;

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    if (!isEnding) void end(0);
    // The second one is from somebody who does not want to wait; but npm passes on the first Ctrl-C,
    // which the terminal has already sent to all of us.
    else if (performance.now() - endingSince > 500) for (const part of parts) part.kill();
  });
}

try {
  await start();
} catch (error) {
  // A part that was stopped while it started is no failure.
  if (!isEnding) {
    console.error(String(error instanceof Error ? error.message : error));
    await end(1);
  }
}

async function start(): Promise<void> {
  run("deploy/prerequisites.sh", ["--check", "redis-server", "redis-cli", "haproxy", "openssl"]);
  run("deploy/certificate.sh", []);
  build();

  for (const port of [
    httpsPort,
    httpPort,
    metricsPort,
    ...nodes.flatMap((node) => [node.port, node.adminPort]),
  ]) {
    if (!(await isFree(port))) throw new Error(`port ${port} is taken: does another cluster run?`);
  }

  const redis = add(
    await startRedis({ port: (await isFree(6390)) ? 6390 : await freePort(), ...logTo("redis") }),
  );
  await Promise.all(nodes.map((node) => keep(node, redis)));
  const haproxy = add(await startHaproxy({ nodes, httpsPort, httpPort, metricsPort, ...logTo("haproxy") }));
  await haproxy.waitForNodes(nodes.length);
  await until("HAProxy passes requests on", async () => (await fetch(haproxy.url)).status !== 503);
  if (!isEnding) hint(haproxy, redis);
}

function environment(redis: RedisServer): Record<string, string> {
  return {
    TIDEGATE_REDIS_URL: redis.url,
    TIDEGATE_JWT_SECRET: secret,
    // So that a page from anywhere, a file included, can try it. It listens on 127.0.0.1 only, and its tokens are
    // good for nothing else. A real deployment lists its origins.
    TIDEGATE_ALLOWED_ORIGINS: "*",
    TIDEGATE_TRUSTED_PROXIES: "127.0.0.1/32",
    // All who try it out share one token.
    TIDEGATE_MAX_CONNECTIONS_PER_USER: "0",
    TIDEGATE_DRAIN_TIME: "8s",
  };
}

/** Starts a node, and again when it ends, as an orchestrator would: `kill` it and see what its clients do. */
async function keep(node: (typeof nodes)[number], redis: RedisServer): Promise<void> {
  // Who presses Ctrl-C does not want to wait for a hand-over.
  const started = await startNode({ ...node, env: environment(redis), graceMs: 1_000, ...logTo(node.id) });
  const at = performance.now();
  parts.push(started);
  void started.process.exited.then(({ code, signal }) => {
    if (isEnding) return;
    parts.splice(parts.indexOf(started), 1);
    console.error(`${node.id} ended (${signal ?? `exit code ${code}`})`);
    if (performance.now() - at < MIN_LIFE_MS) return void end(1);
    keep(node, redis).then(
      () => console.error(`${node.id} runs again`),
      (error: unknown) => {
        console.error(String(error));
        void end(1);
      },
    );
  });
}

function add<T extends Part>(part: T): T {
  parts.push(part);
  void part.process.exited.then(() => {
    if (isEnding) return;
    console.error(part.process.failure("died").message);
    void end(1);
  });
  return part;
}

/** Nodes first, while HAProxy and Redis still serve their goodbyes. */
async function end(code: number): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  endingSince = performance.now();
  if (parts.length > 0) console.error("\nstopping");
  const others = new Set(["haproxy", "redis"]);
  const isNode = (part: Part) => !others.has(part.process.name.replace(/:.*/, ""));
  await Promise.all(parts.filter(isNode).map((part) => part.stop()));
  for (const part of parts.toReversed()) await part.stop();
  process.exit(code);
}

function logTo(name: string): { onLine?: (line: string) => void } {
  return showLogs ? { onLine: (line) => console.log(`${name.padEnd(7)} | ${line}`) } : {};
}

function run(command: string, args: string[]): void {
  const { status } = spawnSync(join(root, command), args, { stdio: "inherit" });
  if (status !== 0) throw new Error("the cluster cannot start");
}

function hint(haproxy: Haproxy, redis: RedisServer): void {
  const minted = spawnSync(
    process.execPath,
    [join(root, "dist/main.js"), "token", "--sub", "demo", "--grants", '{"*":["subscribe","publish"]}'],
    { env: { ...cleanEnvironment(), ...environment(redis) }, encoding: "utf8" },
  );
  if (minted.status !== 0) throw new Error(`cannot mint a token: ${minted.stderr}`);
  const token = minted.stdout.trim();
  console.log(`
Three nodes behind HAProxy. Ctrl-C ends all of it.

  ${haproxy.secureWebSocketUrl}   (self-signed: .tidegate/certificate.pem)
  ${haproxy.webSocketUrl}
  metrics: ${nodes.map((node) => `http://127.0.0.1:${node.adminPort}/metrics`).join(" ")}

A token that may subscribe and publish everywhere:

${token}

Listen:

npx wscat --no-check -c '${haproxy.secureWebSocketUrl}?channel=chat-123' -s tidegate.v1 -s bearer.${token}

Publish, over HTTP or from any Redis client:

curl -X POST ${haproxy.url}/v1/channels/chat-123/events -H 'Authorization: Bearer ${token}' -H 'Content-Type: application/json' -d '{"data":{"text":"hi"}}'
redis-cli -p ${redis.port} PUBLISH tidegate:chat-123 '{"text":"hi"}'
`);
}
