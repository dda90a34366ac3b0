import { beforeAll, describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { type Client, refusal } from "./support/client.ts";
import { type GatewayNode, type RedisServer, type Stage, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

// What ends somebody's access, or bounds it, holds on all nodes of a fleet: three here, on a real Redis.

const stage = sharedStage();
let redis: RedisServer;
let nodes: [GatewayNode, GatewayNode, GatewayNode];
const admin = token({ sub: "backend", claims: { admin: ["*"] } });

function startNode(stage: Stage, id: string, env: Record<string, string> = {}): Promise<GatewayNode> {
  return stage.node({ id, redis, env: { TIDEGATE_MAX_CONNECTIONS_PER_USER: "6", ...env } });
}

beforeAll(async () => {
  redis = await stage.redis();
  nodes = (await Promise.all(["node1", "node2", "node3"].map((id) => startNode(stage, id)))) as typeof nodes;
});

async function call(
  method: string,
  path: string,
  body?: object,
  { by = admin, at = nodes[0] } = {},
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(at.url + path, {
    method,
    headers: { authorization: `Bearer ${by}`, "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
}

const revoke = (body: object, by?: string) => call("POST", "/v1/revocations", body, by ? { by } : {});

function everywhere(stage: Stage, mine: string): Promise<Client[]> {
  return Promise.all(
    nodes.map((node) => stage.client(node.webSocketUrl, { token: mine, channels: ["news"] })),
  );
}

/** The close codes of clients, which have to come within two seconds. */
async function codes(clients: readonly Client[]): Promise<number[]> {
  const late = new Promise<never>((_, reject) =>
    setTimeout(() => reject(new Error("not closed in 2 s")), 2_000),
  );
  return await Promise.race([Promise.all(clients.map(async (client) => (await client.closed).code)), late]);
}

describe("a revoked token", () => {
  test("ends its connections on all nodes within two seconds, and no other", async ({ stage }) => {
    const theirs = await everywhere(stage, token({ sub: "ann", jwtid: "stolen" }));
    const others = await everywhere(stage, token({ sub: "ann", jwtid: "good" }));
    expect((await revoke({ jti: "stolen" })).status).toBe(204);
    expect(await codes(theirs)).toEqual([4503, 4503, 4503]);
    expect(others.every((client) => client.isOpen)).toBe(true);
  });

  test("is accepted nowhere any more, in no way", async ({ stage }) => {
    const mine = token({ sub: "bob", jwtid: "bobs" });
    await revoke({ jti: "bobs" });
    for (const node of nodes) {
      const refused = await refusal(node.webSocketUrl, { token: mine });
      expect([refused.status, refused.body]).toEqual([401, expect.stringContaining("token_revoked")]);
      const published = await call("POST", "/v1/channels/news/events", { data: 1 }, { by: mine, at: node });
      expect([published.status, published.body.code]).toEqual([401, "token_revoked"]);
      const client = await stage.client(node.webSocketUrl);
      client.send({ type: "auth", token: mine });
      expect((await client.next()).code).toBe("token_revoked");
      expect((await client.closed).code).toBe(4503);
    }
  });

  test("is known to a node that starts later, before it lets anybody in", async ({ stage }) => {
    await revoke({ jti: "known-later" });
    const late = await startNode(stage, "node4");
    const refused = await refusal(late.webSocketUrl, { token: token({ jwtid: "known-later" }) });
    expect(refused.body).toContain("token_revoked");
  });

  test("ends on a node that was stopped meanwhile, when it goes on", async ({ stage }) => {
    const client = await stage.client(nodes[2].webSocketUrl, { token: token({ sub: "eve", jwtid: "e" }) });
    nodes[2].kill("SIGSTOP");
    await revoke({ jti: "e" });
    nodes[2].kill("SIGCONT");
    expect(await codes([client])).toEqual([4503]);
  });

  test("ends on a node that was cut off from Redis meanwhile, when it is back", async ({ stage }) => {
    const client = await stage.client(nodes[1].webSocketUrl, { token: token({ sub: "mal", jwtid: "m" }) });
    // As if it were away: what is published now does not reach its subscriber.
    const id = /id=(\d+) .*name=tidegate-subscriber-node2/.exec(await redis.cli("CLIENT", "LIST"))?.[1];
    await redis.cli("ZADD", "tidegate.revocations", String(Date.now() + 60_000), '{"jti":"m"}');
    await redis.cli("CLIENT", "KILL", "ID", id as string);
    await until("it ends", () => !client.isOpen, 8_000);
    expect((await client.closed).code).toBe(4503);
  });
});

test("a revocation outlives a Redis that comes back empty, as long as one node knows it", async ({
  stage,
}) => {
  await revoke({ jti: "remembered" });
  await redis.cli("FLUSHALL");
  // One that starts now cannot know, until the others have told Redis, and it, again.
  const ignorant = await startNode(stage, "node7");
  const client = await stage.client(ignorant.webSocketUrl, { token: token({ jwtid: "remembered" }) });
  const id = /id=(\d+) .*name=tidegate-subscriber-node1/.exec(await redis.cli("CLIENT", "LIST"))?.[1];
  await redis.cli("CLIENT", "KILL", "ID", id as string);
  await until("it is told", () => !client.isOpen, 8_000);
  expect((await client.closed).code).toBe(4503);
  await until("Redis knows it again", async () => {
    const score = await redis.cli("ZSCORE", "tidegate.revocations", '{"jti":"remembered"}');
    return score !== "";
  });
  const late = await startNode(stage, "node6");
  const refused = await refusal(late.webSocketUrl, { token: token({ jwtid: "remembered" }) });
  expect(refused.body).toContain("token_revoked");
});

describe("all tokens of a user issued before a time", () => {
  test("are revoked together, and the next one is good at once", async ({ stage }) => {
    const now = Math.floor(Date.now() / 1000);
    const old = await everywhere(stage, token({ sub: "cat", claims: { iat: now - 10 } }));
    expect((await revoke({ sub: "cat", before: now })).status).toBe(204);
    expect(await codes(old)).toEqual([4503, 4503, 4503]);
    const fresh = await everywhere(stage, token({ sub: "cat", claims: { iat: now } }));
    expect(fresh.every((client) => client.isOpen)).toBe(true);
  });

  test("are all that there are, when no time is given", async ({ stage }) => {
    const mine = token({ sub: "dog" });
    const clients = await everywhere(stage, mine);
    await revoke({ sub: "dog" });
    expect(await codes(clients)).toEqual([4503, 4503, 4503]);
    expect((await refusal(nodes[1].webSocketUrl, { token: mine })).body).toContain("token_revoked");
  });
});

describe("a user who is disconnected", () => {
  test("loses all connections everywhere, and may come back", async ({ stage }) => {
    const clients = await everywhere(stage, token({ sub: "fox" }));
    const neighbours = await everywhere(stage, token({ sub: "fox-2" }));
    expect((await call("DELETE", "/v1/users/fox/connections")).status).toBe(204);
    expect(await codes(clients)).toEqual([4504, 4504, 4504]);
    expect(neighbours.every((client) => client.isOpen)).toBe(true);
    await everywhere(stage, token({ sub: "fox" }));
  });
});

describe("what concerns others", () => {
  test("is forbidden without the grant for it, and says which", async () => {
    const by = token({ claims: { admin: ["channels"] } });
    for (const [method, path, body, action] of [
      ["POST", "/v1/revocations", { jti: "x" }, "revoke"],
      ["GET", "/v1/users/ann/connections", undefined, "connections"],
      ["DELETE", "/v1/users/ann/connections", undefined, "connections"],
    ] as const) {
      const answer = await call(method, path, body, { by });
      expect([answer.status, answer.body]).toMatchObject([
        403,
        { code: "forbidden", detail: `nothing allows ${action}` },
      ]);
    }
  });

  test.each<[string, object]>([
    ["nobody", {}],
    ["a token and a user", { jti: "a", sub: "b" }],
    ["a user in a list", { sub: ["ann"] }],
    ["an empty name", { jti: "" }],
    ["a name of 300 characters", { jti: "x".repeat(300) }],
    ["a time that is a date", { sub: "ann", before: "2026-01-01" }],
    ["a time of one token", { jti: "a", before: 5 }],
    ["a misspelt field", { sub: "ann", befor: 5 }],
    ["a negative time", { sub: "ann", before: -1 }],
  ])("is refused of %s", async (_what, body) => {
    expect(await revoke(body)).toMatchObject({ status: 400, body: { code: "bad_frame" } });
  });
});

describe("the connections of one user", () => {
  test("are counted over all nodes, in any place, and end with them", async ({ stage }) => {
    const clients = [
      await stage.client(nodes[0].webSocketUrl, { token: token({ sub: "a b/ä" }) }),
      await stage.client(nodes[0].webSocketUrl, { token: token({ sub: "a b/ä" }) }),
      await stage.client(nodes[2].webSocketUrl, { token: token({ sub: "a b/ä" }) }),
    ];
    const path = `/v1/users/${encodeURIComponent("a b/ä")}/connections`;
    const counted = async () => (await call("GET", path, undefined, { at: nodes[1] })).body;
    await until("all are counted", async () => (await counted()).connections === 3);
    expect(await counted()).toEqual({ user: "a b/ä", connections: 3, nodes: { node1: 2, node3: 1 } });
    for (const client of clients) client.stop();
    await until("none is counted", async () => (await counted()).connections === 0);
    expect((await counted()).nodes).toEqual({});
  });

  test("are limited over all nodes, and one that goes makes room", async ({ stage }) => {
    const mine = token({ sub: "many" });
    const clients: Client[] = [];
    const codesSeen: (number | undefined)[] = [];
    for (let i = 0; i < 12; i++) {
      const client = await stage.client((nodes[i % 3] as GatewayNode).webSocketUrl, { token: mine });
      clients.push(client);
      codesSeen.push(await Promise.race([client.closed.then(({ code }) => code), wait(300)]));
    }
    expect(codesSeen).toEqual([...Array(6).fill(undefined), ...Array(6).fill(4409)]);
    expect(clients.at(-1)?.frames.at(-1)).toMatchObject({
      type: "error",
      code: "too_many_connections",
      message: "the limit is 6 connections",
    });
    clients[0]?.stop();
    await wait(300);
    const next = await stage.client(nodes[1].webSocketUrl, { token: mine });
    await wait(300);
    expect(next.isOpen).toBe(true);
  });

  test("in a rush on all nodes at once never stay more than they may", async ({ stage }) => {
    const mine = token({ sub: "rush" });
    const clients = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        stage
          .client((nodes[i % 3] as GatewayNode).webSocketUrl, { token: mine })
          .catch((error: Error) => error),
      ),
    );
    await wait(1_000);
    const open = clients.filter((client) => !(client instanceof Error) && client.isOpen);
    expect(open.length).toBeLessThanOrEqual(6);
  });

  test("of a node that died are forgotten", async ({ stage }) => {
    const doomed = await startNode(stage, "node5");
    const mine = token({ sub: "survivor" });
    for (let i = 0; i < 6; i++) await stage.client(doomed.webSocketUrl, { token: mine });
    await until("they fill the limit", async () => {
      const { body } = await call("GET", "/v1/users/survivor/connections");
      return body.connections === 6;
    });
    doomed.kill();
    await until(
      "another node takes the user in",
      async () => {
        const client = await stage.client(nodes[0].webSocketUrl, { token: mine });
        await wait(200);
        return client.isOpen;
      },
      25_000,
    );
  }, 40_000);

  test("are counted again after Redis lost everything", async ({ stage }) => {
    const mine = token({ sub: "lost" });
    for (let i = 0; i < 3; i++) await stage.client(nodes[0].webSocketUrl, { token: mine });
    await wait(300);
    await redis.cli("FLUSHALL");
    await redis.cli("CLIENT", "KILL", "TYPE", "pubsub");
    await until(
      "they are counted",
      async () => (await call("GET", "/v1/users/lost/connections")).body.connections === 3,
      10_000,
    );
  });
});

function wait(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}
