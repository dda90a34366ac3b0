import { connect } from "node:net";
import { beforeAll, describe, expect } from "vitest";
import { METRICS } from "../src/metrics.ts";
import { scrape } from "./support/metrics.ts";
import { exchange, head, type RawAnswer } from "./support/raw.ts";
import { run } from "./support/run.ts";
import { type GatewayNode, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

const stage = sharedStage();
let node: GatewayNode;

beforeAll(async () => {
  node = await stage.node();
});

async function request(line: string, headers: Record<string, string> = {}, body = ""): Promise<RawAnswer> {
  const answer = await exchange(node.adminPort, head(line, { Host: "127.0.0.1", ...headers }) + body);
  if (!answer) throw new Error("the connection ended without an answer");
  return answer;
}

describe("the admin port", () => {
  test("says that the node is alive, ready, and by which checks", async () => {
    const health = await request("GET /healthz HTTP/1.1");
    expect([health.status, JSON.parse(health.body)]).toEqual([200, { status: "ok" }]);
    const ready = await request("GET /readyz HTTP/1.1");
    expect(ready.status).toBe(200);
    expect(ready.headers).toMatchObject({ "content-type": "application/json", "cache-control": "no-store" });
    const names = ["started", "not draining", "under capacity", "backplane"];
    expect(JSON.parse(ready.body)).toEqual({
      ready: true,
      checks: names.map((name) => ({ name, ok: true })),
    });
  });

  test("answers HTTP/1.0, HEAD, and a path with a query", async () => {
    const old = await exchange(node.adminPort, "GET /readyz HTTP/1.0\r\n\r\n");
    expect(old?.status).toBe(200);
    for (const path of ["/healthz", "/readyz", "/metrics"]) {
      const answer = await request(`HEAD ${path} HTTP/1.1`);
      expect([answer.status, answer.body]).toEqual([200, ""]);
      expect(Number(answer.headers["content-length"])).toBeGreaterThan(0);
      expect((await request(`GET ${path}?verbose=1 HTTP/1.1`)).status).toBe(200);
    }
  });

  test("takes no other method and no other path", async () => {
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
      const answer = await request(`${method} /metrics HTTP/1.1`, { "Content-Length": "0" });
      expect(answer.status).toBe(405);
      expect(answer.headers.allow).toMatch(/GET/);
    }
    for (const path of ["/", "/ws", "/v1/explain", "/metrics/", "/Metrics", "/healthz/x", "/readyz%20"]) {
      expect((await request(`GET ${path} HTTP/1.1`)).status).toBe(404);
    }
  });

  test.for([
    ["//"],
    ["//metrics"],
    ["/%"],
    ["/%zz"],
    ["/%00"],
    ["/../../etc/passwd"],
    ["http://"],
    ["http://[::1"],
    ["*"],
    ["?"],
    ["/?%"],
    ["/#metrics"],
    [`/${"x".repeat(8_192)}`],
    [`/${"%".repeat(8_192)}`],
    [`/metrics?${"x".repeat(8_192)}`],
  ])("is not hurt by the path %.20s", async ([path]) => {
    const answer = await exchange(node.adminPort, head(`GET ${path} HTTP/1.1`, { Host: "127.0.0.1" }));
    expect(answer?.status).toBeLessThan(500);
    expect((await request("GET /healthz HTTP/1.1")).status).toBe(200);
  });

  test("is not hurt by what is no HTTP", async () => {
    const noHttp = [
      "\r\n\r\n",
      "hello\r\n\r\n",
      Buffer.alloc(1_000, 0xff),
      `GET / HTTP/1.1\r\n${"x".repeat(70_000)}`,
    ];
    for (const bytes of noHttp) {
      const socket = connect({ port: node.adminPort, host: "127.0.0.1" });
      await new Promise((resolve) => socket.on("error", resolve).write(bytes, resolve));
      socket.destroy();
    }
    expect((await request("GET /healthz HTTP/1.1")).status).toBe(200);
  });

  test("serves nothing of the public port, nor the other way round", async () => {
    for (const path of ["/healthz", "/readyz", "/metrics"]) {
      expect((await fetch(`${node.url}${path}`)).status).toBe(404);
    }
    const answer = await fetch(`${node.admin}/v1/explain?action=publish&channel=a`, {
      headers: { authorization: `Bearer ${token()}` },
    });
    expect(answer.status).toBe(404);
  });
});

describe("metrics", () => {
  test("are what promtool wants them to be", async () => {
    const { stdout, stderr, code } = await run("promtool", ["check", "metrics"], {
      input: (await request("GET /metrics HTTP/1.1")).body,
    });
    expect([stdout, stderr, code]).toEqual(["", "", 0]);
  });

  test("have every name that is documented, and none beside them", async () => {
    const answer = await request("GET /metrics HTTP/1.1");
    expect(answer.headers["content-type"]).toMatch(/^text\/plain; version=0\.0\.4/);
    const documented = [
      ...METRICS.map(({ name }) => name),
      "tidegate_ping_round_trip_seconds",
      "tidegate_build_info",
    ];
    const declared = [...answer.body.matchAll(/^# TYPE (tidegate_\w+) (counter|gauge|histogram)$/gm)].map(
      (m) => m[1],
    );
    expect(declared.sort()).toEqual(documented.sort());
    expect(answer.body).toMatch(/^tidegate_build_info\{.*version=".+".*\} 1$/m);
    expect(answer.body).toMatch(/^process_resident_memory_bytes /m);
  });

  test("count connections and subscriptions up and down", async () => {
    const counts = async () => {
      const all = await scrape(node);
      const of = (series: string) => all.get(series) ?? 0;
      return {
        connections: of('tidegate_connections{transport="websocket"}'),
        opened: of('tidegate_connections_opened_total{transport="websocket"}'),
        closed: of('tidegate_connections_closed_total{reason="client"}'),
        lost: of('tidegate_connections_closed_total{reason="lost"}'),
        subscriptions: of("tidegate_subscriptions"),
        channels: of("tidegate_channels"),
      };
    };
    const before = await counts();
    const clients = await stage.clients(5, node.webSocketUrl, { token: token(), channels: ["a", "b"] });
    for (const client of clients) for (const _ of "ab") await client.next("subscribed");
    const connections = before.connections + 5;
    expect(await counts()).toEqual({
      ...before,
      connections,
      opened: before.opened + 5,
      subscriptions: before.subscriptions + 10,
      channels: before.channels + 2,
    });
    const [first, second, ...others] = clients;
    first?.socket.close();
    second?.stop();
    for (const other of others) other.socket.close(4_000);
    await Promise.all(clients.map((client) => client.closed));
    await expect.poll(counts).toEqual({
      ...before,
      opened: before.opened + 5,
      closed: before.closed + 4,
      lost: before.lost + 1,
    });
  });
});
