import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { beforeAll, expect } from "vitest";
import { root, until } from "../deploy/local/process.ts";
import { type Client, refusal } from "./support/client.ts";
import { http2, webSocketStream } from "./support/http2.ts";
import { type GatewayNode, type Haproxy, type Stage, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

// Limits per client address. A second address is 127.0.0.2.

const shared = sharedStage();
let node: GatewayNode;

beforeAll(async () => {
  node = await shared.node({ env: { TIDEGATE_MAX_CONNECTIONS_PER_USER: "0" } });
});

async function limited(stage: Stage, env: Record<string, string>, maxConnections?: number): Promise<Haproxy> {
  const haproxy = await stage.haproxy({ nodes: [node], env, ...(maxConnections && { maxConnections }) });
  await haproxy.waitForNodes(1);
  return haproxy;
}

const elsewhere = { token: token(), localAddress: "127.0.0.2" };

test("the 101st connection of one address is refused, others are not, and a place that becomes free is given", async ({
  stage,
}) => {
  const haproxy = await limited(stage, { HAPROXY_MAXCONN_PER_ADDRESS: "100" });
  const clients = await stage.clients(100, haproxy.webSocketUrl, { token: token() });
  const refused = await refusal(haproxy.webSocketUrl, { token: token() });
  expect([refused.status, refused.headers["retry-after"]]).toEqual([429, "10"]);
  await stage.client(haproxy.webSocketUrl, elsewhere);
  expect(clients.every((client) => client.isOpen)).toBe(true);
  expect(await (clients[0] as Client).request({ type: "ping" })).toMatchObject({ type: "pong" });
  for (const client of clients.slice(0, 2)) client.stop();
  await until("a place is free", async () => {
    const client = await stage.client(haproxy.webSocketUrl, { token: token() });
    return client.isOpen;
  });
});

test("WebSockets within one HTTP/2 connection count like connections, for the address and for all", async ({
  stage,
}) => {
  const ca = readFileSync(join(root, ".tidegate/certificate.pem"));
  const opened = async (haproxy: Haproxy, count: number) => {
    const session = http2(stage, haproxy, ca);
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    const answers: unknown[] = [];
    for (let i = 0; i < count; i++) {
      const stream = webSocketStream(session, haproxy, { authorization: `Bearer ${token()}` });
      answers.push(
        await new Promise((resolve) => stream.once("response", (answer) => resolve(answer[":status"]))),
      );
    }
    return answers;
  };
  const byAddress = await limited(stage, { HAPROXY_MAXCONN_PER_ADDRESS: "5" });
  expect(await opened(byAddress, 6)).toEqual([200, 200, 200, 200, 200, 429]);
  await stage.client(byAddress.webSocketUrl, elsewhere);
  const forAll = await limited(stage, {}, 20);
  expect(await opened(forAll, 21)).toEqual([...Array(20).fill(200), 503]);
});

test("too many new connections of one address in ten seconds are refused", async ({ stage }) => {
  const haproxy = await limited(stage, { HAPROXY_CONN_RATE_PER_ADDRESS: "20" });
  for (let i = 0; i < 20; i++) (await stage.client(haproxy.webSocketUrl, { token: token() })).stop();
  expect((await refusal(haproxy.webSocketUrl, { token: token() })).status).toBe(429);
  await stage.client(haproxy.webSocketUrl, elsewhere);
});

test("who tries out tokens is refused after so many, a good one included, and others are not", async ({
  stage,
}) => {
  const haproxy = await limited(stage, { HAPROXY_ERRORS_PER_ADDRESS: "10" });
  const statuses: number[] = [];
  for (let i = 0; i < 30; i++)
    statuses.push((await refusal(haproxy.webSocketUrl, { token: `guess-${i}` })).status);
  expect(statuses).toEqual([...Array(11).fill(401), ...Array(19).fill(429)]);
  expect((await refusal(haproxy.webSocketUrl, { token: token() })).status).toBe(429);
  // The address is that of the connection.
  const forged = { token: token(), headers: { "X-Forwarded-For": "127.0.0.9" } };
  expect((await refusal(haproxy.webSocketUrl, forged)).status).toBe(429);
  await stage.client(haproxy.webSocketUrl, elsewhere);
  // It gets out, though it asks on meanwhile.
  await until(
    "it is let in again",
    async () => {
      const late = stage.client(haproxy.webSocketUrl, { token: token() });
      return await late.then(
        () => true,
        () => new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 200)),
      );
    },
    20_000,
  );
}, 40_000);

test("an IPv6 address counts with its /64, an IPv4 address for itself", async ({ stage }) => {
  const haproxy = await limited(stage, {});
  const table = async () => (await haproxy.command("show table public")).match(/key=\S+/g);
  (await stage.client(haproxy.webSocketUrl, { token: token() })).stop();
  (await stage.client(haproxy.webSocketUrl, elsewhere)).stop();
  expect((await table())?.sort()).toEqual(["key=::ffff:127.0.0.1", "key=::ffff:127.0.0.2"]);
  const six = await limited(stage, { HAPROXY_HTTP_BIND: `[::1]:${haproxy.httpPort}` });
  (await stage.client(`ws://[::1]:${haproxy.httpPort}/ws`, { token: token() })).stop();
  expect((await six.command("show table public")).match(/key=\S+/g)).toEqual(["key=::"]);
});

test("past HAPROXY_MAXCONN new connections end at once, old ones and the metrics are served", async ({
  stage,
}) => {
  const haproxy = await limited(stage, {}, 60);
  const clients: Client[] = [];
  while (clients.length < 50) clients.push(await stage.client(haproxy.webSocketUrl, { token: token() }));
  const start = performance.now();
  await expect(stage.client(haproxy.webSocketUrl, { token: token() })).rejects.toThrow(/ECONNRESET|hang up/);
  const sockets = await Promise.all(Array.from({ length: 30 }, () => closed(haproxy.httpPort)));
  expect(sockets).toHaveLength(30);
  expect(performance.now() - start).toBeLessThan(2_000);
  const metrics = await fetch(haproxy.metricsUrl, { signal: AbortSignal.timeout(2_000) });
  expect(await metrics.text()).toMatch(/^haproxy_frontend_current_sessions\{proxy="public"\} 50$/m);
  for (const client of clients)
    expect(await client.request({ type: "ping" })).toMatchObject({ type: "pong" });
  clients[0]?.stop();
  await until(
    "a place is free",
    async () => (await stage.client(haproxy.webSocketUrl, { token: token() })).isOpen,
  );
});

function closed(port: number): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("error", () => {}); // followed by `close`
    socket.on("close", () => resolve(socket)).resume();
  });
}
