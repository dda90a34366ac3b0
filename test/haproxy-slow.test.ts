import { readFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect } from "vitest";
import { root, until } from "../deploy/local/process.ts";
import { variant } from "./support/haproxy.ts";
import { metric } from "./support/metrics.ts";
import { ask, head, RawWebSocket } from "./support/raw.ts";
import { type GatewayNode, type Haproxy, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

// Clients that say nothing, or a byte now and then, and tunnels in which nobody says anything.

const stage = sharedStage();
let node: GatewayNode;
let haproxy: Haproxy;
let ca: Buffer;
const authorization = { Authorization: `Bearer ${token()}` };
const post = head("POST /v1/channels/a/events HTTP/1.1", {
  Host: "127.0.0.1",
  ...authorization,
  "Content-Type": "application/json",
  "Content-Length": "400",
});

beforeAll(async () => {
  node = await stage.node({ env: { TIDEGATE_TRUSTED_PROXIES: "127.0.0.1/32" } });
  haproxy = await stage.haproxy({ nodes: [node], maxConnections: 1_000 });
  await haproxy.waitForNodes(1);
  ca = readFileSync(join(root, ".tidegate/certificate.pem"));
});

/** Sends `start` at once and then `rest`, a byte every 200 ms, over and over. When it was ended, with what. */
async function drip(start: string, rest: string): Promise<{ status: string; seconds: number }> {
  const began = performance.now();
  const socket = connect({ port: haproxy.httpPort, host: "127.0.0.1", noDelay: true });
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  socket.on("error", () => {}); // followed by `close`
  if (start) socket.write(start);
  let i = 0;
  const timer = setInterval(() => rest && socket.write(rest.charAt(i++ % rest.length)), 200);
  await new Promise((resolve) => socket.on("close", resolve));
  clearInterval(timer);
  return { status: text.slice(9, 12), seconds: (performance.now() - began) / 1000 };
}

describe.concurrent("slow clients", () => {
  test("five hundred that send nothing, or a byte now and then, are ended within six seconds, and others are served meanwhile", async () => {
    const get = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    const kinds: Record<string, [string, string]> = {
      nothing: ["", ""],
      "half a line": ["GET /w", ""],
      "a request line": ["GET /", "x"],
      headers: [get, "X: y\r\n"],
      "a body": [post, " "],
    };
    const slow = Promise.all(
      Object.entries(kinds).flatMap(([kind, [start, rest]]) =>
        Array.from({ length: 100 }, async () => ({ kind, ...(await drip(start, rest)) })),
      ),
    );
    await until("the slow ones are there", async () => {
      const info = await haproxy.command("show info");
      return Number(/CurrConns: (\d+)/.exec(info)?.[1]) >= 500;
    });
    const times: number[] = [];
    for (let i = 0; i < 100; i++) {
      const start = performance.now();
      const answer = await ask(haproxy.httpPort, authorization, "/v1/explain?action=publish&channel=a");
      expect(answer.status).toBe(200);
      times.push(performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(times.sort((a, b) => a - b)[95]).toBeLessThan(250);
    const ends = await slow;
    for (const { kind, status, seconds } of ends) {
      expect([kind, status]).toEqual([kind, "408"]);
      expect(seconds, kind).toBeLessThan(6.5);
    }
  });

  test("an HTTP/2 connection without a request, and a body within one, end as well", async () => {
    const start = performance.now();
    const idle = connectHttp2(haproxy.httpsUrl, { ca });
    const ended = new Promise((resolve) => idle.once("close", resolve).on("error", resolve));
    const busy = connectHttp2(haproxy.httpsUrl, { ca });
    const headers = {
      ":method": "POST",
      ":path": "/v1/channels/a/events",
      authorization: authorization.Authorization,
    };
    const stream = busy.request(headers, { endStream: false });
    stream.write('{"da');
    const status = await new Promise((resolve) =>
      stream.once("response", (answer) => resolve(answer[":status"])),
    );
    busy.destroy();
    await ended;
    expect(status).toBe(408);
    expect(performance.now() - start).toBeLessThan(6_500);
  });

  test("a tunnel lives as long as somebody pings, and not when the node is silent", async ({ stage }) => {
    const file = variant(stage, ["timeout tunnel 90s", "timeout tunnel 7s"]);
    const pinging = await stage.node({ env: { TIDEGATE_HEARTBEAT: "5s", TIDEGATE_PONG_TIMEOUT: "2s" } });
    const silent = await stage.node({ env: { TIDEGATE_HEARTBEAT: "60s" } });
    const [alive, cut] = await Promise.all(
      [pinging, silent].map(async (one) => {
        const proxy = await stage.haproxy({ nodes: [one], file });
        await proxy.waitForNodes(1);
        const start = performance.now();
        const client = await stage.client(proxy.webSocketUrl, { token: token() });
        const seconds = client.closed.then(() => (performance.now() - start) / 1000);
        const still = new Promise<undefined>((resolve) => setTimeout(resolve, 12_000, undefined));
        return { client, seconds: await Promise.race([seconds, still]) };
      }),
    );
    expect(alive?.seconds).toBeUndefined();
    expect(alive?.client.isOpen).toBe(true);
    expect(cut?.seconds).toBeGreaterThan(6.8);
    expect(cut?.seconds).toBeLessThan(8.5);
    expect((await cut?.client.closed)?.code).toBe(1006);
  });

  test("a client that is gone without a word is let go of, and so is its node", async ({ stage }) => {
    const socket = await RawWebSocket.open(haproxy.httpPort, "/ws", authorization);
    stage.add(socket);
    const connections = () => metric(node, 'tidegate_connections{transport="websocket"}');
    await until("the node has it", async () => (await connections()) === 1);
    socket.socket.end(); // half closed: it reads on, and says no more
    await until("the node has let it go", async () => (await connections()) === 0, 14_000);
  });
});
