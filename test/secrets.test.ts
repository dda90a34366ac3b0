import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect } from "vitest";
import { root } from "../deploy/local/process.ts";
import { Client, Refused } from "./support/client.ts";
import { exchange, head } from "./support/raw.ts";
import { startTidegate, tidegate } from "./support/run.ts";
import { type GatewayNode, type Haproxy, type RedisServer, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

// E21: every way to give a token, good and bad, at the most talkative log level; then everything that anybody was
// told is searched for it.

const JWT_SECRET = "jwt-secret-that-must-never-be-printed-0123456789";
const OLD_SECRET = "old-secret-that-must-never-be-printed-0123456789";
const REDIS_PASSWORD = "redis-password-that-must-never-be-printed";
const ORIGIN = "https://app.example.com";

const stage = sharedStage();
let redis: RedisServer;
let node: GatewayNode;
let haproxy: Haproxy;
let ca: Buffer;

/** Everything that was given as a token, and every other secret. */
const secrets = new Set([JWT_SECRET, OLD_SECRET, REDIS_PASSWORD]);
/** Everything that was said to anybody, by where it was said. */
const said: { where: string; text: string }[] = [];

function environment(): Record<string, string> {
  return {
    TIDEGATE_JWT_SECRET: `${JWT_SECRET} ${OLD_SECRET}`,
    TIDEGATE_ALLOWED_ORIGINS: ORIGIN,
    TIDEGATE_TOKEN_COOKIE: "session",
    TIDEGATE_LOG_LEVEL: "debug",
    TIDEGATE_TRUSTED_PROXIES: "127.0.0.1/32",
    TIDEGATE_REDIS_URL: redis.url,
  };
}

beforeAll(async () => {
  redis = await stage.redis({ user: { name: "tidegate", password: REDIS_PASSWORD, rules: "~* &* +@all" } });
  node = await stage.node({ env: environment() });
  haproxy = await stage.haproxy({ nodes: [node] });
  await haproxy.waitForNodes(1);
  ca = readFileSync(join(root, ".tidegate/certificate.pem"));
});

/** A token that will be searched for, as a whole and in each of its parts that tells something. */
function known(given: string): string {
  secrets.add(given);
  const [, payload, signature] = given.split(".");
  if (payload && payload.length > 20) secrets.add(payload);
  if (signature && signature.length > 20) secrets.add(signature);
  return given;
}

let users = 0;

/** One token of each kind, not used before. */
function tokens(): string[] {
  const fresh = () => ({ key: JWT_SECRET, sub: `user-${++users}` });
  return [
    token(fresh()),
    token({ ...fresh(), key: OLD_SECRET }),
    token({ ...fresh(), expiresIn: -10 }),
    token({ ...fresh(), key: "somebody-elses-secret-0123456789abcdef" }),
    token({ ...fresh(), algorithm: "none", key: "" }),
    token({ ...fresh(), keyid: "../../dev/null" }),
    token({ ...fresh(), channels: {} }),
    token({ ...fresh(), claims: { channels: "not-an-object" } as object }),
    token({ ...fresh(), claims: { pad: "x".repeat(7_000) } }),
    `no-token-at-all-${++users}-but-still-a-secret`,
    `eyJhbGciOiJIUzI1NiJ9.cut-off-in-the-middle-${++users}`,
    `a.b.c-${++users}-three-parts-that-are-not-json`,
  ].map(known);
}

/** Connects, provokes some frames, and keeps all that was answered. */
async function talk(
  url: string,
  options: ConstructorParameters<typeof Client>[1] = {},
  frames: string[] = [],
) {
  const client = stage.add(new Client(url, { ca, ...options }));
  try {
    await client.opened;
    for (const frame of frames) client.send(frame);
    client.send({ type: "subscribe", channel: "forbidden-perhaps", ref: 1 });
    client.send({ type: "publish", channel: "forbidden-perhaps", data: 1, ref: 2 });
    client.send({ type: "ping", ref: "end" });
    await Promise.race([client.next((frame) => frame.ref === "end"), client.closed]);
    const { code, reason } = client.isOpen ? { code: 0, reason: "" } : await client.closed;
    said.push({
      where: "frames",
      text: `${client.texts.join("\n")} ${code} ${reason} ${client.socket.protocol}`,
    });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    said.push({ where: "refusal", text: `${JSON.stringify(error.headers)} ${error.body}` });
  }
  client.stop();
}

async function request(port: number, line: string, headers: Record<string, string>, body = "") {
  const all = { Host: "127.0.0.1", "Content-Length": String(Buffer.byteLength(body)), ...headers };
  const answer = await exchange(port, head(`${line} HTTP/1.1`, all) + body);
  said.push({ where: line.slice(0, 30), text: JSON.stringify(answer) });
}

test("no token, cookie, secret or password is ever said to anybody", async () => {
  const urls = [node.webSocketUrl, haproxy.webSocketUrl, haproxy.secureWebSocketUrl];
  const ports = [node.port, haproxy.httpPort];
  for (const url of urls) {
    await Promise.all(tokens().map((given) => talk(url, { token: given })));
    await Promise.all(tokens().map((given) => talk(url, { protocols: ["tidegate.v1", `bearer.${given}`] })));
    await Promise.all(tokens().map((given) => talk(`${url}?token=${given}&channel=a`)));
    await Promise.all(
      tokens().map((given) => talk(url, { headers: { cookie: `session=${given}` }, origin: ORIGIN })),
    );
    await Promise.all(tokens().map((given) => talk(url, { headers: { cookie: `session=${given}` } })));
    await Promise.all(tokens().map((given) => talk(url, { token: given, origin: "https://evil.example" })));
    await Promise.all(
      tokens().map((given) => talk(url, {}, [JSON.stringify({ type: "auth", token: given, ref: 0 })])),
    );
    // In places where none belongs. (What is short enough to be the name of a channel would be taken for one.)
    const misplaced = tokens().filter((given) => given.length > 200);
    await Promise.all(
      misplaced.flatMap((given) => [
        talk(url, { channels: [given] }),
        talk(url, {}, [`{"type":"auth","token":"${given}"`]),
        talk(url, {}, [JSON.stringify({ type: "auth", token: [given] })]),
        talk(url, {}, [JSON.stringify({ type: given })]),
        talk(url, { token: known(token({ key: JWT_SECRET })) }, [
          JSON.stringify({ type: "auth", token: given }),
          JSON.stringify({ type: "subscribe", channel: given }),
          JSON.stringify({ type: "publish", channel: "a", event: { type: given, data: given } }),
        ]),
      ]),
    );
  }
  for (const port of ports) {
    for (const given of tokens()) {
      const bearer = { Authorization: `Bearer ${given}` };
      const json = { "Content-Type": "application/json" };
      await request(port, "GET /ws", bearer);
      await request(port, `GET /ws?token=${given}`, {});
      await request(port, "GET /v1/explain?action=publish&channel=a", bearer);
      await request(port, `GET /v1/explain?action=${given}&channel=${given}&token=${given}`, {});
      await request(port, "POST /v1/channels/a/events", { ...bearer, ...json }, '{"data":1}');
      await request(
        port,
        "POST /v1/channels/a/events",
        { ...bearer, ...json },
        `{"data":1,"type":"${given}"}`,
      );
      await request(
        port,
        "POST /v1/channels/a/events",
        { Cookie: `session=${given}`, ...json },
        '{"data":1}',
      );
      // Paths are logged, and so is whatever somebody makes one of.
      await request(port, `POST /v1/channels/a/events?token=${given}`, json, '{"data":1}');
      await request(port, `GET /nothing?token=${given}`, {});
      await request(port, "POST /ws", bearer);
    }
  }

  // A node whose Redis does not know the password, and one whose Redis is away.
  const wrong = redis.url.replace(REDIS_PASSWORD, `${REDIS_PASSWORD}-but-wrong`);
  const away = redis.url.replace(String(redis.port), "9");
  for (const url of [wrong, away]) {
    const other = await stage.node({ env: { ...environment(), TIDEGATE_REDIS_URL: url }, waitReady: false });
    await other.process.line(/TIDEGATE_REDIS_URL/);
    await other.stop();
    said.push({ where: "a node without its Redis", text: other.output.join("\n") });
  }
  redis.kill("SIGKILL");
  await node.process.line(/backplane is down/);
  await talk(node.webSocketUrl, { token: known(token({ key: JWT_SECRET })) });
  said.push({ where: "/metrics", text: await (await fetch(`${node.admin}/metrics`)).text() });
  said.push({ where: "/readyz", text: await (await fetch(`${node.admin}/readyz`)).text() });

  // The commands.
  const given = known(token({ key: JWT_SECRET }));
  for (const args of [
    ["config"],
    ["doctor"],
    ["publish", "a", "1", "--url", haproxy.url, "--token", given],
    ["publish", "a", "1", "--url", "http://127.0.0.1:9", "--token", given],
    ["subscribe", "a", "--url", node.url, "--token", known(`${given}x`)],
    ["serve", "--max-connections", "many"],
  ]) {
    const { stdout, stderr } = await tidegate(args, { env: environment() });
    said.push({ where: `tidegate ${args[0]}`, text: stdout + stderr });
  }
  const broken = {
    ...environment(),
    TIDEGATE_REDIS_URL: `nonsense://x:${REDIS_PASSWORD}@y`,
    TIDEGATE_PORT: "x",
  };
  const { stderr } = await tidegate(["config"], {
    env: { ...broken, TIDEGATE_JWT_SECRET: JWT_SECRET.slice(0, 31) },
  });
  secrets.add(JWT_SECRET.slice(0, 31));
  said.push({ where: "tidegate config", text: stderr });
  const tail = startTidegate(
    stage,
    root,
    ["subscribe", "a", "--url", node.url, "--token", given],
    environment(),
  );
  await tail.line(/"welcome"/);
  await tail.stop();
  said.push({ where: "tidegate subscribe", text: tail.output.join("\n") });

  await node.stop();
  said.push({ where: "the node", text: node.output.join("\n") });
  await haproxy.stop();
  said.push({ where: "HAProxy", text: haproxy.output.join("\n") });

  // All of it was really said and heard.
  const refusals = node.output.filter((line) => /"code":"\w+".*"reason":/.test(line));
  expect(refusals.length).toBeGreaterThan(100); // of many more: a node logs twenty a second
  expect(haproxy.output.length).toBeGreaterThan(100);
  expect(secrets.size).toBeGreaterThan(500);
  const leaks = said.flatMap(({ where, text }) =>
    [...secrets]
      .filter((secret) => text.includes(secret))
      .map((secret) => `${where}: ${secret.slice(0, 60)}`),
  );
  expect([...new Set(leaks)]).toEqual([]);
}, 60_000);
