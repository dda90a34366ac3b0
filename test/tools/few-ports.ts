import { readFile } from "node:fs/promises";
import { startHaproxy } from "../../deploy/local/haproxy.ts";
import { type GatewayNode, startNode } from "../../deploy/local/node.ts";
import { Client, Refused } from "../support/client.ts";
import { SECRET, token } from "../support/token.ts";

// Run in a network of its own with a hundred ports for outgoing connections: 150 clients come to one node, and then to
// two. What became of them goes to stdout, as JSON.

const env = {
  TIDEGATE_JWT_SECRET: SECRET,
  TIDEGATE_ALLOWED_ORIGINS: "none",
  TIDEGATE_MAX_CONNECTIONS_PER_USER: "0",
};

async function run(nodes: GatewayNode[]): Promise<object> {
  const haproxy = await startHaproxy({ nodes });
  await haproxy.waitForNodes(nodes.length);
  const cpuBefore = await cpuSeconds(haproxy.pid);
  const results = await Promise.allSettled(
    // Theirs are ports too: 75 to each of two doors.
    Array.from({ length: 150 }, (_, i) =>
      Client.connect(i % 2 ? haproxy.webSocketUrl : haproxy.secureWebSocketUrl, {
        token: token(),
        rejectUnauthorized: false,
      }),
    ),
  );
  const open = results.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const refused = results.flatMap((one) => (one.status === "rejected" ? [one.reason as unknown] : []));
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const cpu = (await cpuSeconds(haproxy.pid)) - cpuBefore;
  const metrics = await (await fetch(haproxy.metricsUrl)).text();
  const pongs = await Promise.all(open.map((client) => client.request({ type: "ping" })));
  for (const client of open) client.stop();
  await haproxy.stop();
  return {
    open: open.length,
    answering: pongs.filter(({ type }) => type === "pong").length,
    refused: refused.map((error) => (error instanceof Refused ? error.status : String(error))),
    connectErrors: [...metrics.matchAll(/^haproxy_server_connection_errors_total\{.*"node1"\} (\d+)/gm)].map(
      ([, n]) => Number(n),
    ),
    cpu,
  };
}

async function cpuSeconds(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

// Ports out of the hundred would be somebody's outgoing connection.
const nodes = await Promise.all(
  [1, 2, 3].map((i) => startNode({ id: `node${i}`, env, port: 8080 + i, adminPort: 9090 + i })),
);
const one = await run(nodes.slice(0, 1));
const two = await run(nodes.slice(1));
await Promise.all(nodes.map((node) => node.stop()));
console.log(JSON.stringify({ one, two }));
