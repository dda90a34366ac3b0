import { execFileSync, spawn } from "node:child_process";
import { startHaproxy } from "../../deploy/local/haproxy.ts";
import { startNode } from "../../deploy/local/node.ts";
import { until } from "../../deploy/local/process.ts";
import { metric } from "../support/metrics.ts";
import { SECRET, token } from "../support/token.ts";

// Run in a network of its own. Two event streams come from an address that then is gone, without a word: one by an HAProxy
// that waits for acknowledgements as long as ours does not, one by an HAProxy that waits as long as Linux does. How many
// the node knows before and after goes to stdout, as JSON.

const VANISHING = "10.9.0.2";
const ip = (...args: string[]) => execFileSync("ip", args);

ip("addr", "add", `${VANISHING}/32`, "dev", "lo");
const node = await startNode({
  env: {
    TIDEGATE_JWT_SECRET: SECRET,
    TIDEGATE_ALLOWED_ORIGINS: "none",
    TIDEGATE_HEARTBEAT: "5s",
    TIDEGATE_PONG_TIMEOUT: "1s",
  },
});
const [prompt, patient] = await Promise.all(
  ["3s", "1h"].map((HAPROXY_VANISHED_AFTER) =>
    startHaproxy({ nodes: [node], env: { HAPROXY_VANISHED_AFTER } }),
  ),
);
await Promise.all([prompt?.waitForNodes(1), patient?.waitForNodes(1)]);
const clients = [prompt, patient].map((haproxy) =>
  spawn("curl", [
    ...["-s", "-N", "--interface", VANISHING, "-H", `Authorization: Bearer ${token()}`],
    ...["-H", "Accept: text/event-stream", `${haproxy?.url}/v1/channels/a/events`],
  ]),
);
const there = () => metric(node, 'tidegate_connections{transport="sse"}');
await until("both are there", async () => (await there()) === 2);
ip("addr", "del", `${VANISHING}/32`, "dev", "lo");
const before = await there();
await until("the node has noticed", async () => (await there()) < 2, 20_000);
await new Promise((resolve) => setTimeout(resolve, 2_000));
const after = await there();
for (const client of clients) client.kill("SIGKILL");
await Promise.all([prompt?.stop(), patient?.stop(), node.stop()]);
console.log(JSON.stringify({ before, after }));
