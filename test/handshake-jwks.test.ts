import { createHash, generateKeyPairSync, type KeyObject } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { Client, refusal } from "./support/client.ts";
import { metric } from "./support/metrics.ts";
import { handshakeHeaders, head, RawWebSocket } from "./support/raw.ts";
import { type GatewayNode, type Stage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

/** A key server, whose answers wait until they are released. */
class KeyServer {
  readonly #server: Server;
  readonly #waiting: ServerResponse[] = [];
  readonly privateKey: KeyObject;
  readonly kid: string;
  readonly #body: string;
  requests = 0;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.privateKey = privateKey;
    const jwk = publicKey.export({ format: "jwk" });
    this.kid = createHash("sha256").update(JSON.stringify(jwk)).digest("base64url");
    this.#body = JSON.stringify({ keys: [{ ...jwk, kid: this.kid, alg: "ES256", use: "sig" }] });
    this.#server = createServer((_request, response) => {
      this.requests++;
      this.#waiting.push(response);
    });
  }

  async start(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/keys`;
  }

  release(status: number): void {
    for (const response of this.#waiting.splice(0))
      response.writeHead(status).end(status === 200 ? this.#body : "");
  }

  token(sub: string): string {
    return token({
      sub,
      key: this.privateKey.export({ type: "pkcs8", format: "pem" }),
      algorithm: "ES256",
      keyid: this.kid,
    });
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/**
 * A node whose first fetch failed, and that has just begun the second one, which waits for `release`: a node waits
 * for a second, so whoever wants to be in time with many handshakes connects beforehand, in `prepare`.
 */
async function whileFetching(
  stage: Stage,
  prepare = async (_node: GatewayNode): Promise<void> => {},
): Promise<{ keys: KeyServer; node: GatewayNode }> {
  const keys = stage.add(await new KeyServer().start());
  const env = { TIDEGATE_JWT_SECRET: "", TIDEGATE_JWKS_URL: keys.url };
  const starting = stage.node({ env });
  await until("the node asks for the keys", () => keys.requests === 1);
  keys.release(500);
  const node = await starting;
  await prepare(node);
  const headers = { authorization: `Bearer ${keys.token("early")}` };
  await until("a handshake makes it ask again", async () => {
    const asked = fetch(`${node.url}/ws`, { headers }).then((answer) => answer.arrayBuffer());
    await Promise.race([asked, new Promise((resolve) => setTimeout(resolve, 50))]);
    return keys.requests === 2;
  });
  return { keys, node };
}

test.concurrent("many handshakes wait for one fetch of the keys, and clients that go meanwhile do no harm", async ({
  stage,
}) => {
  const sockets: Socket[] = [];
  const { keys, node } = await whileFetching(stage, async (node) => {
    for (let i = 0; i < 100; i++) {
      const socket = connect({ port: node.port, host: "127.0.0.1" });
      stage.add({ stop: () => socket.destroy() });
      sockets.push(socket);
    }
    await Promise.all(sockets.map((socket) => once(socket, "connect")));
  });
  const ours = { Authorization: `Bearer ${keys.token("raw")}` };
  const raw = sockets.slice(0, 50).map((socket) => RawWebSocket.upgrade(socket, "/ws", ours));
  const clients = Array.from({ length: 20 }, (_, i) =>
    stage.add(new Client(node.webSocketUrl, { token: keys.token(`user-${i}`), channels: [`chat-${i}`] })),
  );
  await Promise.all(
    sockets.slice(50).map(async (socket, i) => {
      await new Promise((resolve) => socket.write(head("GET /ws HTTP/1.1", handshakeHeaders(ours)), resolve));
      if (i % 2 === 0) socket.resetAndDestroy();
      else socket.end();
    }),
  );
  keys.release(200);
  await Promise.all([...raw, ...clients.map((client) => client.opened)]);
  for (const [i, client] of clients.entries()) {
    expect(await client.next()).toMatchObject({ type: "welcome", user: `user-${i}` });
    expect(await client.next()).toEqual({ type: "subscribed", channel: `chat-${i}`, id: expect.any(String) });
  }
  expect(keys.requests).toBe(2);
  expect(node.process.isRunning).toBe(true);
  const connections = () => metric(node, 'tidegate_connections{transport="websocket"}');
  await until("nobody who went is counted", async () => (await connections()) === 70);
  const late = await stage.client(node.webSocketUrl, { token: keys.token("late") });
  expect(late.frames[0]).toMatchObject({ user: "late" });
});

test.concurrent("handshakes are refused for the time being when the keys cannot be fetched, and so are auth frames", async ({
  stage,
}) => {
  const { keys, node } = await whileFetching(stage);
  const waiting = Array.from({ length: 20 }, () => refusal(node.webSocketUrl, { token: keys.token("ann") }));
  const client = await stage.client(node.webSocketUrl);
  client.send({ type: "auth", token: keys.token("ann") });
  await until("all wait", async () => (await metric(node, 'tidegate_commands_total{type="auth"}')) === 1);
  keys.release(500);
  for (const { status, body, headers } of await Promise.all(waiting)) {
    expect(status).toBe(503);
    expect(JSON.parse(body)).toMatchObject({ code: "auth_unavailable", temporary: true });
    expect(headers["retry-after"]).toBeDefined();
  }
  expect(await client.next("error")).toMatchObject({ code: "auth_unavailable", temporary: true });
  expect((await client.closed).code).toBe(4403);
  expect(keys.requests).toBe(2);
});

test.concurrent("tokens with unknown key ids make no fetches", async ({ stage }) => {
  const { keys, node } = await whileFetching(stage);
  keys.release(200);
  await stage.client(node.webSocketUrl, { token: keys.token("ann") });
  const stranger = new KeyServer();
  const attempts = Array.from({ length: 200 }, () =>
    refusal(node.webSocketUrl, { token: stranger.token("eve") }),
  );
  // They are younger than the key set, which may hold their key when it is next fetched.
  for (const { body } of await Promise.all(attempts)) expect(body).toContain("auth_unavailable");
  expect(keys.requests).toBe(2);
});
