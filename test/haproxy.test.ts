import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { beforeAll, describe, expect } from "vitest";
import { root, until } from "../deploy/local/process.ts";
import { type Client, refusal } from "./support/client.ts";
import { http2, webSocketStream } from "./support/http2.ts";
import { ask, exchange, handshakeHeaders, head, shake } from "./support/raw.ts";
import { type GatewayNode, type Haproxy, logged, type Stage, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

const stage = sharedStage();
let nodes: GatewayNode[];
let haproxy: Haproxy;
let ca: Buffer;

beforeAll(async () => {
  const env = { TIDEGATE_ALLOWED_ORIGINS: "same-origin", TIDEGATE_TRUSTED_PROXIES: "127.0.0.1/32" };
  nodes = await Promise.all(["node1", "node2"].map((id) => stage.node({ id, env })));
  haproxy = await stage.haproxy({ nodes });
  await haproxy.waitForNodes(2);
  ca = readFileSync(join(root, ".tidegate/certificate.pem"));
});

const secure = (stage: Stage, headers: Record<string, string> = {}): Promise<Client> =>
  stage.client(haproxy.secureWebSocketUrl, { token: token(), headers, ca });
const nodeOf = (client: Client) => client.frames[0]?.node;

/** The log entry of the node that refused this origin. */
async function refusedAt(origin: string) {
  const isIt = (entry: Record<string, unknown>) => entry.origin === origin;
  return Promise.any(nodes.map((node) => logged(node, isIt)));
}

describe("HAProxy", () => {
  test("brings a client back to its node by a cookie that no script can read", async ({ stage }) => {
    const firsts = await Promise.all(Array.from({ length: 6 }, () => secure(stage)));
    expect(new Set(firsts.map(nodeOf))).toEqual(new Set(["node1", "node2"]));
    for (const first of firsts) {
      const [cookie] = first.cookies as [string];
      expect(cookie).toMatch(/^TG=n[12]; .*HttpOnly/);
      for (let i = 0; i < 3; i++) {
        const again = await secure(stage, { cookie: cookie.split(";")[0] as string });
        expect(nodeOf(again)).toBe(nodeOf(first));
      }
    }
  });

  test("sends a client whose cookie names nobody, or a node that is down, to another one", async ({
    stage,
  }) => {
    for (const cookie of ["TG=n3", "TG=n9", "TG=", "TG=../../x"]) await secure(stage, { cookie });
  });

  test("tells nodes the client's address, which the client cannot forge", async () => {
    const origin = "https://one.example";
    const options = {
      origin,
      headers: { "X-Forwarded-For": "6.6.6.6, 127.0.0.1" },
      localAddress: "127.0.0.2",
    };
    expect((await refusal(haproxy.webSocketUrl, options)).status).toBe(403);
    expect(await refusedAt(origin)).toMatchObject({ address: "127.0.0.2", code: "origin_not_allowed" });
  });

  test("tells nodes the scheme, which the client cannot forge", async ({ stage }) => {
    const own = (scheme: string, port: number) => `${scheme}://127.0.0.1:${port}`;
    const forged = { headers: { "X-Forwarded-Proto": "https" } };
    const options = { token: token(), ca, origin: own("https", haproxy.httpsPort) };
    await stage.client(haproxy.secureWebSocketUrl, options);
    await stage.client(haproxy.webSocketUrl, { token: token(), origin: own("http", haproxy.httpPort) });
    const wrong = { ...forged, origin: own("https", haproxy.httpPort) };
    expect((await refusal(haproxy.webSocketUrl, wrong)).status).toBe(403);
  });

  test.for([
    ["/metrics"],
    ["/metrics/"],
    ["/metrics?x=1"],
    ["/%6detrics"],
    ["/METRICS"],
    ["//metrics"],
    ["/./metrics"],
    ["/x/../metrics"],
    ["/healthz"],
    ["/readyz"],
    ["/%72eadyz"],
  ])("hides %s from outside", async ([path]) => {
    const answer = await ask(haproxy.httpPort, {}, path);
    expect(answer.status).toBe(404);
    expect(answer.body).not.toMatch(/tidegate_|checks|"ok"/);
  });

  test("puts requests that come in one-byte segments together", async () => {
    const bytes = (line: string, headers: Record<string, string | undefined>) => [...head(line, headers)];
    const authorization = { Host: "127.0.0.1", Authorization: `Bearer ${token()}` };
    const answer = await exchange(
      haproxy.httpPort,
      ...bytes("GET /v1/explain?action=publish&channel=a HTTP/1.1", authorization),
    );
    expect([answer?.status, JSON.parse(answer?.body ?? "")]).toEqual([
      200,
      expect.objectContaining({ allowed: true }),
    ]);
    const upgraded = await exchange(haproxy.httpPort, ...bytes("GET /ws HTTP/1.1", handshakeHeaders()));
    expect(upgraded?.status).toBe(101);
  });

  test.for<[string, string[]]>([
    ["two lengths", ["Content-Length: 0", "Content-Length: 44"]],
    ["an empty length", ["Content-Length:"]],
    ["a length and another one in a list", ["Content-Length: 0, 44"]],
    ["a transfer coding nobody knows", ["Transfer-Encoding: xchunked", "Content-Length: 0"]],
    ["a name with a space", ["Content-Length : 0"]],
    ["an empty name", [": x"]],
  ])("refuses a request with %s instead of passing on a smuggled one", async ([, lines]) => {
    const smuggled = "GET /v1/smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    const request = ["POST /v1/channels/a/events HTTP/1.1", "Host: 127.0.0.1", ...lines, "", smuggled].join(
      "\r\n",
    );
    expect((await exchange(haproxy.httpPort, request))?.status).toBe(400);
  });

  test("passes handshakes that a node refuses back with its answer", async () => {
    const version8 = await shake(haproxy.httpPort, { "Sec-WebSocket-Version": "8" });
    expect([version8.status, version8.headers["sec-websocket-version"]]).toEqual([426, "13"]);
    const bad = await shake(haproxy.httpPort, { Authorization: "Bearer x" });
    expect([bad.status, bad.headers["content-type"]]).toEqual([401, "application/problem+json"]);
    expect((await ask(haproxy.httpPort)).status).toBe(426);
  });

  test("speaks WebSocket over HTTP/2, as browsers do", async ({ stage }) => {
    const session = http2(stage, haproxy, ca);
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    const stream = webSocketStream(session, haproxy, {
      "sec-websocket-protocol": `tidegate.v1, bearer.${token({ sub: "ann" })}`,
    });
    const headers = await new Promise<Record<string, unknown>>((resolve, reject) =>
      stream.once("response", resolve).once("error", reject),
    );
    expect(headers).toMatchObject({ ":status": 200, "sec-websocket-protocol": "tidegate.v1" });
    const first = await new Promise<Buffer>((resolve) => stream.once("data", resolve));
    // One whole text frame, unmasked; its length takes two more bytes.
    expect(first.subarray(0, 2)).toEqual(Buffer.from([0x81, 126]));
    expect(JSON.parse(first.toString("utf8", 4))).toMatchObject({ type: "welcome", user: "ann" });
  });

  test("takes no TLS older than 1.2", async () => {
    const offered = (maxVersion: "TLSv1.1" | "TLSv1.2") =>
      new Promise((resolve) => {
        const ciphers = "DEFAULT@SECLEVEL=0";
        const options = {
          port: haproxy.httpsPort,
          host: "127.0.0.1",
          ca,
          minVersion: "TLSv1" as const,
          maxVersion,
          ciphers,
        };
        const socket = connectTls(options, () => resolve(socket.getProtocol())).on("error", () =>
          resolve("refused"),
        );
        socket.on("secureConnect", () => socket.destroy());
      });
    expect(await offered("TLSv1.2")).toBe("TLSv1.2");
    expect(await offered("TLSv1.1")).toBe("refused");
  });

  test("logs each request with its path, and neither query nor token", async ({ stage }) => {
    const [inQuery, inHeader, inProtocol] = ["a", "b", "c"].map((sub) => token({ sub })) as [
      string,
      string,
      string,
    ];
    const clients = [
      await stage.client(`${haproxy.secureWebSocketUrl}?token=${inQuery}&channel=secret-room`, { ca }),
      await stage.client(haproxy.webSocketUrl, { token: inHeader }),
      await stage.client(haproxy.webSocketUrl, { protocols: ["tidegate.v1", `bearer.${inProtocol}`] }),
    ];
    expect(clients.map((client) => client.frames[0]?.user)).toEqual(["a", "b", "c"]);
    expect((await refusal(`${haproxy.webSocketUrl}?token=bad-token&channel=secret-room`)).status).toBe(401);
    for (const client of clients) client.socket.close();
    const lines = () => haproxy.output.filter((line) => /GET \/ws HTTP/.test(line));
    await until(
      "all are logged",
      () =>
        lines().some((line) => / 401 /.test(line)) &&
        lines().filter((line) => / 101 /.test(line)).length >= 3,
    );
    const log = haproxy.output.join("\n");
    for (const secret of [inQuery, inHeader, inProtocol, "bad-token", "secret-room", "eyJ"])
      expect(log).not.toContain(secret);
    expect(log).not.toContain("?");
  });

  test("counts its connections and servers in metrics of its own", async () => {
    const text = await (await fetch(haproxy.metricsUrl)).text();
    expect(text).toMatch(/^haproxy_server_status\{proxy="gateway",server="node1",state="UP"\} 1$/m);
    expect((await fetch(haproxy.metricsUrl.replace("metrics", "x"))).status).toBe(404);
  });
});

test("HAProxy without a node answers 503, and takes a node in and out by its readiness", async ({
  stage,
}) => {
  const node = await stage.node({ env: { TIDEGATE_MAX_CONNECTIONS: "1" } });
  const alone = await stage.haproxy({ nodes: [node] });
  await alone.waitForNodes(1);
  const client = await stage.client(alone.webSocketUrl, { token: token() });
  await alone.waitForNodes(0); // it is full: not ready
  expect((await refusal(alone.webSocketUrl, { token: token() })).status).toBe(503);
  expect(await client.request({ type: "ping" })).toMatchObject({ type: "pong" });
  client.stop();
  await alone.waitForNodes(1);
  await stage.client(alone.webSocketUrl, { token: token() });
});
