import { readFileSync } from "node:fs";
import type { Redis } from "ioredis";
import { describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { Functions, LIBRARY, RedisTooOld } from "../src/backplane/redis/functions.ts";
import { NO_FUNCTIONS } from "./support/backplanes.ts";
import { Authority } from "./support/certificates.ts";
import type { Client } from "./support/client.ts";
import { run } from "./support/run.ts";
import { type GatewayNode, logged, logOf, type RedisServer, type Stage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

const README = readFileSync("README.md", "utf8");

/** The rights that the README gives a user. */
function rightsOf(user: string): string {
  return new RegExp(`ACL SETUSER ${user} +on >PASSWORD (.*)`).exec(README)?.[1] ?? "";
}

function without(rights: string, ...some: string[]): string {
  return rights
    .split(" ")
    .filter((right) => !some.includes(right))
    .join(" ");
}

/** A Redis where `tidegate` has these rights and no more; `root` may do all. */
async function guarded(stage: Stage, rules: string, config: string[] = []) {
  const password = "of-the-default-user";
  const user = { name: "tidegate", password: "p@ss:wörd/#1", rules };
  const server = await stage.redis({ password, user, config });
  const root = async (...args: string[]) => {
    const outcome = await run("redis-cli", ["-p", String(server.port), ...args], {
      env: { REDISCLI_AUTH: password },
    });
    return outcome.stdout.trim();
  };
  return { server, root };
}

/** The commands that were carried out there, those within functions and scripts among them. */
async function commandsOf(root: (...args: string[]) => Promise<string>): Promise<string[]> {
  const lines = (await root("INFO", "commandstats")).split("\n");
  return lines.flatMap((line) => /^cmdstat_(\S+):calls=[1-9]/.exec(line)?.[1] ?? []);
}

/** All that a node asks of Redis, and that it works. */
async function exercise(stage: Stage, node: GatewayNode): Promise<void> {
  const options = { token: token({ claims: { jti: "one", admin: ["*"] } }) };
  const [client, other] = [
    await stage.client(node.webSocketUrl, options),
    await stage.client(node.webSocketUrl, { token: token({ sub: "user-2" }) }),
  ];
  const begun = await client.request({ type: "subscribe", channel: "chat" });
  expect(begun).toMatchObject({ type: "subscribed", id: expect.stringMatching(/:0$/) });
  const publish = { type: "publish", channel: "chat", data: "once", key: "k" };
  const first = await client.request(publish);
  expect(first).toMatchObject({ type: "published", id: expect.stringMatching(/:1$/), listeners: 1 });
  expect(await client.request(publish)).toMatchObject({ id: first.id, repeated: true });
  expect(await client.request({ ...publish, data: "twice" })).toMatchObject({ code: "key_reused" });
  for (let i = 2; i <= 200; i++) client.send({ type: "publish", channel: "chat", data: i });
  await client.next((frame) => frame.data === 200);
  const resumed = await other.request({ type: "subscribe", channel: "chat", since: begun.id });
  expect(resumed).toMatchObject({ type: "subscribed", resumed: true, missed: 200 });
  await other.next((frame) => frame.data === 200);
  expect(other.events("chat").map(({ data }) => data)).toEqual(client.events("chat").map(({ data }) => data));
  for (const query of [{ since: first.id }, { before: resumed.id }]) {
    const answer = await client.request({ type: "history", channel: "chat", ...query });
    expect(answer).toMatchObject({ type: "history", more: true });
    expect((answer.events as unknown[]).length).toBeGreaterThan(99);
  }
  expect(await client.request({ type: "subscribe", channel: "brief", last: 5 })).toMatchObject({
    resumed: true,
  });

  const ask = (method: string, path: string, body?: object) =>
    fetch(`${node.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${options.token}`, "content-type": "application/json" },
      ...(body && { body: JSON.stringify(body) }),
    });
  await until("both are counted", async () => {
    const answer = await ask("GET", "/v1/users/user-2/connections");
    expect(answer.status).toBe(200);
    return ((await answer.json()) as { connections: number }).connections === 1;
  });
  expect((await ask("POST", "/v1/revocations", { sub: "user-2" })).status).toBe(204);
  expect(await other.closed).toMatchObject({ code: 4503 });
  expect(await client.request({ type: "unsubscribe", channel: "chat" })).toMatchObject({
    type: "unsubscribed",
  });
  const brief = { type: "publish", channel: "brief", data: 1 };
  for (let i = 0; i < 64; i++) client.send(brief);
  await until("the first of them are past", async () => {
    client.send(brief);
    const { events } = await client.request({ type: "history", channel: "brief", limit: 1_000 });
    return Number((events as { id: string }[])[0]?.id.split(":")[1]) > 64;
  });
  for (let i = 0; i < 64; i++) client.send(brief);
  const answer = await client.request({ type: "history", channel: "brief", limit: 1_000 });
  expect((answer.events as unknown[]).length).toBeGreaterThan(63);
}

async function clientOf(stage: Stage, node: GatewayNode, ...channels: string[]): Promise<Client> {
  const client = await stage.client(node.webSocketUrl, { token: token(), channels });
  if (channels.length > 0) await client.next("subscribed");
  return client;
}

const HISTORY = '{"*":{"size":1000,"time":"10m"},"brief":{"size":1000,"time":"1s"}}';

function nodeOn(stage: Stage, redis: RedisServer, id = "node1"): Promise<GatewayNode> {
  return stage.node({
    id,
    redis,
    env: {
      TIDEGATE_BACKPLANE_GRACE: "0s",
      TIDEGATE_HISTORY: HISTORY,
      TIDEGATE_COMMAND_RATE: "0",
      TIDEGATE_MAX_CONNECTIONS_PER_USER: "100",
    },
  });
}

describe("access to Redis", () => {
  const rights = rightsOf("tidegate");

  test("needs the documented rights, no more and no less", async ({ stage }) => {
    const used = new Set<string>();
    for (const [how, rules] of [
      ["by functions", rights],
      ["by scripts", without(rights, "+fcall", "+function|load")],
    ] as const) {
      const { server, root } = await guarded(stage, rules);
      const node = await nodeOn(stage, server);
      await exercise(stage, node);
      await node.stop();
      expect(node.output.filter((line) => !line.startsWith("{"))).toEqual([]);
      expect(node.output.join("\n"), how).not.toMatch(/NOPERM/);
      for (const command of await commandsOf(root)) used.add(command);
    }
    const documented = rights.split(" ").flatMap((right) => /^\+(.*)/.exec(right)?.[1] ?? []);
    const free = ["auth", "acl|log", "hello"];
    expect([...used].filter((command) => !free.includes(command)).sort()).toEqual(documented.sort());
  });

  test("is documented for all that runs within Redis", () => {
    const called = [...LIBRARY.matchAll(/redis\.p?call\('(\w+)'/g)].map(
      ([, name = ""]) => `+${name.toLowerCase()}`,
    );
    expect(called.length).toBeGreaterThan(20);
    expect([...new Set(called)].filter((right) => !rights.split(" ").includes(right))).toEqual([]);
  });

  test.for([
    ["may not call functions, though it may load them", "+fcall"],
    ["may not load functions, and nobody else has", "+function|load"],
    ["may do neither", "+fcall", "+function|load"],
  ])("works by scripts where it %s", async ([, ...missing], { stage }) => {
    const { server } = await guarded(stage, without(rights, ...missing));
    const node = await nodeOn(stage, server);
    await exercise(stage, node);
    expect(node.output.join("\n")).not.toMatch(/NOPERM/);
  });

  test("works by functions that somebody else has loaded", async ({ stage }) => {
    const { server, root } = await guarded(stage, without(rights, "+function|load"));
    await root("FUNCTION", "LOAD", LIBRARY);
    const client = await clientOf(stage, await nodeOn(stage, server));
    expect(await client.request({ type: "publish", channel: "chat", data: 1 })).toMatchObject({
      type: "published",
      id: expect.stringMatching(/:1$/),
    });
    expect(await client.request({ type: "history", channel: "chat" })).toMatchObject({
      events: [{ data: 1 }],
    });
    expect(await commandsOf(root)).toContain("fcall");
  });

  test("works at a Redis without functions, as at others: nodes of both kinds share one history", async ({
    stage,
  }) => {
    const without = await stage.redis({ config: NO_FUNCTIONS });
    await exercise(stage, await nodeOn(stage, without));
    // One that has no right to functions beside one that has.
    const { server, root } = await guarded(stage, rightsOf("tidegate").replace("+fcall ", ""));
    const byScripts = await nodeOn(stage, server, "scripts");
    const url = `redis://:of-the-default-user@127.0.0.1:${server.port}`;
    const byFunctions = await stage.node({ id: "functions", env: { TIDEGATE_REDIS_URL: url } });
    const clients = [await clientOf(stage, byScripts), await clientOf(stage, byFunctions)] as const;
    for (const client of clients) await client.request({ type: "subscribe", channel: "chat" });
    for (let i = 0; i < 20; i++) {
      const publish = { type: "publish", channel: "chat", data: i, key: `k${i}` };
      const [one, other] = i % 2 === 0 ? clients : [clients[1], clients[0]];
      const { id } = await one.request(publish);
      expect(await other.request(publish)).toMatchObject({ id, repeated: true, listeners: 0 });
    }
    await until("both have all", () => clients.every((client) => client.events("chat").length === 20));
    const numbers = Array.from({ length: 20 }, (_, i) => i);
    expect(clients.map((client) => client.events("chat").map(({ data }) => data))).toEqual([
      numbers,
      numbers,
    ]);
    expect(clients[0].texts.filter((text) => text.includes('"timestamp"'))).toEqual(
      clients[1].texts.filter((text) => text.includes('"timestamp"')),
    );
    expect(await commandsOf(root)).toEqual(expect.arrayContaining(["fcall", "evalsha"]));
  });

  test("for who publishes is enough for that, and for nothing else", async ({ stage }) => {
    const server = await stage.redis();
    const client = await clientOf(stage, await nodeOn(stage, server), "chat");
    for (const user of ["backend", "keeper"])
      await server.cli("ACL", "SETUSER", user, "on", ">secret", ...rightsOf(user).split(" "));
    const as = async (user: string, ...args: string[]) => {
      const all = [
        "-p",
        String(server.port),
        "--user",
        user,
        "--pass",
        "secret",
        "--no-auth-warning",
        ...args,
      ];
      return (await run("redis-cli", all)).stdout.trim();
    };
    expect(await as("backend", "PUBLISH", "tidegate:chat", '"plain"')).toBe("1");
    await client.next((frame) => frame.data === "plain");
    const call = ["FCALL", "tidegate_publish", "1", "tidegate:chat", "order", '"kept"', "key"];
    const id = await as("keeper", ...call);
    expect(id).toMatch(/^[0-9a-f]{16}-[0-9a-f]{8}:1$/);
    expect(await as("keeper", ...call)).toBe(id);
    expect(await client.next("order")).toMatchObject({ id, data: "kept" });
    for (const [user, ...command] of [
      ["backend", "PUBLISH", "tidegate!chat", "1t\n{}"],
      ["backend", ...call],
      ["keeper", "PUBLISH", "tidegate.revocations", "x"],
      ["keeper", "PUBLISH", "tidegate.probe.node1", "1"],
      ["keeper", "SET", "tidegate.policy", "{}"],
      ["keeper", "SET", "tidegate.seed", "x"],
      ["keeper", "SET", "tidegate.revocations", "x"],
      ["keeper", "SUBSCRIBE", "tidegate:chat"],
      ["keeper", "EVAL", "return 1", "0"],
      ["keeper", "FUNCTION", "LOAD", LIBRARY],
      ["keeper", "FCALL", "tidegate_hello", "0", "tidegate", "{}", "1", "x"],
    ] as const) {
      expect(await as(user, ...command), `${user}: ${command.slice(0, 2)}`).toMatch(
        /NOPERM|No permissions|can't access/,
      );
    }
    // Each of its rights is needed.
    const rights = rightsOf("keeper").split(" ");
    const used = new Set<string>();
    await server.cli("CONFIG", "RESETSTAT");
    for (const [i, channel] of ["one", "two"].entries())
      for (let n = 0; n < 64; n++)
        await as("keeper", "FCALL", "tidegate_publish", "1", `tidegate:${channel}`, "", `${i}`, `k${n}`);
    for (const command of await commandsOf(server.cli.bind(server))) used.add(command);
    expect(rights.filter((right) => right.startsWith("+") && !used.has(right.slice(1)))).toEqual(["+xtrim"]);
  });

  test("that lacks a right is told by the log, and the client is told that it is temporary", async ({
    stage,
  }) => {
    const user = { name: "tidegate", password: "secret", rules: without(rights, "&tidegate!*") };
    const server = await stage.redis({ password: "other", user });
    const node = await stage.node({ redis: server });
    const client = await stage.client(node.webSocketUrl, { token: token() });
    const refused = { type: "error", code: "backplane_unavailable", temporary: true };
    expect(await client.request({ type: "subscribe", channel: "chat" })).toMatchObject(refused);
    expect(await client.request({ type: "publish", channel: "chat", data: 1 })).toMatchObject(refused);
    await logged(node, (entry) => /NOPERM.*channel/i.test(String(entry.reason)));
  });

  test("with a wrong password is logged without it, and the node is alive but never ready", async ({
    stage,
  }) => {
    const server = await stage.redis({ password: "right-password" });
    const url = `redis://:wrong-password@127.0.0.1:${server.port}`;
    const node = await stage.node({ env: { TIDEGATE_REDIS_URL: url }, waitReady: false });
    expect(await node.isReady()).toBe(false);
    await logged(node, (entry) => /WRONGPASS/.test(String(entry.reason)));
    expect(await node.isReady()).toBe(false);
    expect((await fetch(`${node.admin}/healthz`)).status).toBe(200);
    expect(node.output.join("\n")).not.toMatch(/wrong-password|right-password/);
  });

  test("that nobody gives is never ready, not even within the grace time", async ({ stage }) => {
    const node = await stage.node({ env: { TIDEGATE_REDIS_URL: "redis://127.0.0.1:9" }, waitReady: false });
    expect(await node.isReady()).toBe(false);
    await logged(node, (entry) => /ECONNREFUSED/.test(String(entry.reason)));
    expect(await node.isReady()).toBe(false);
  });

  test("goes by TLS with an authority of one's own, and a wrong one is named", async ({ stage }) => {
    const ours = stage.add(await Authority.make());
    const other = stage.add(await Authority.make());
    const server = await stage.redis({ tls: ours, password: "p" });
    const good = await stage.node({ id: "good", redis: server, env: { TIDEGATE_REDIS_CA_FILE: ours.ca } });
    const client = await stage.client(good.webSocketUrl, { token: token() });
    expect(await client.request({ type: "subscribe", channel: "chat" })).toMatchObject({
      type: "subscribed",
    });
    await server.cli("PUBLISH", "tidegate:chat", "1");
    expect(await client.next("message")).toMatchObject({ data: 1 });

    for (const env of [{}, { TIDEGATE_REDIS_CA: readFileSync(other.ca, "utf8") }]) {
      const bad = await stage.node({ id: "bad", redis: server, env, waitReady: false });
      await logged(
        bad,
        (entry) => /certificate/.test(String(entry.reason)) && /TIDEGATE_REDIS_URL/.test(entry.msg),
      );
      expect(await bad.isReady()).toBe(false);
    }
  });

  test("that speaks TLS at a Redis that does not, or the other way round, is never ready", async ({
    stage,
  }) => {
    const authority = stage.add(await Authority.make());
    const [tls, redis] = [await stage.redis({ tls: authority }), await stage.redis()];
    for (const url of [`rediss://127.0.0.1:${redis.port}`, `redis://127.0.0.1:${tls.port}`]) {
      const env = { TIDEGATE_REDIS_URL: url, TIDEGATE_REDIS_CA_FILE: authority.ca };
      const node = await stage.node({ env, waitReady: false });
      await logged(node, (entry) => /TIDEGATE_REDIS_URL/.test(entry.msg));
      expect(await node.isReady()).toBe(false);
    }
  });

  test("by a Cluster ends the node with exit code 78 and the reason", async ({ stage }) => {
    const cluster = await stage.redis({ cluster: true });
    const node = await stage.node({ redis: cluster, waitReady: false });
    expect(await node.process.exited).toEqual({ code: 78, signal: null });
    expect(logOf(node).at(-1)).toMatchObject({
      level: 60,
      msg: expect.stringMatching(/Cluster.*not supported/),
    });
  });
});

test("by a Redis older than 7, which has no functions, ends the node", async () => {
  const refuses = (message: string) => Promise.reject(new Error(message));
  const server = {
    defineCommand: () => {},
    call: (command: string) => refuses(`ERR unknown command '${command}'`),
    callBuffer: (command: string) => refuses(`ERR unknown command '${command}'`),
  };
  const at = (version: string) => ({
    ...server,
    info: async () => `# Server\r\nredis_version:${version}\r\n`,
  });
  const load = (version: string) => new Functions(at(version) as unknown as Redis).load();
  await expect(load("6.2.14")).rejects.toThrow(RedisTooOld);
  await expect(load("6.2.14")).rejects.toThrow(
    "TIDEGATE_REDIS_URL is Redis 6.2.14: version 7 or Valkey is needed",
  );
  await load("7.0.15");
  await load("10.0.0");
});
