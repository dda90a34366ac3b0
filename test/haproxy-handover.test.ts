import { beforeAll, describe, expect } from "vitest";
import { Client, refusal } from "./support/client.ts";
import {
  type GatewayNode,
  type Haproxy,
  type RedisServer,
  type Stage,
  sharedStage,
  test,
} from "./support/servers.ts";
import { token } from "./support/token.ts";

// A node leaves, and clients hold a cookie that leads back to it.

const shared = sharedStage();
let redis: RedisServer;

beforeAll(async () => {
  redis = await shared.redis();
});

interface Cluster {
  nodes: GatewayNode[];
  first: GatewayNode;
  haproxy: Haproxy;
}

async function cluster(stage: Stage): Promise<Cluster> {
  const env = { TIDEGATE_TRUSTED_PROXIES: "127.0.0.1/32", TIDEGATE_DRAIN_TIME: "8s" };
  const nodes = await Promise.all(
    // Room for the whole drain, should it need it.
    ["node1", "node2", "node3"].map((id) => stage.node({ id, redis, env, graceMs: 12_000 })),
  );
  const haproxy = await stage.haproxy({ nodes });
  await haproxy.waitForNodes(3);
  return { nodes, first: nodes[0] as GatewayNode, haproxy };
}

const cookie = "TG=n1";
const nodeOf = (client: Client) => client.frames[0]?.node as string;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** With the cookie of node1. */
async function connect({ haproxy }: Cluster, query = "", channels: string[] = []): Promise<Client> {
  const client = await Client.connect(`${haproxy.webSocketUrl}${query}`, {
    token: token(),
    channels,
    headers: { cookie },
  });
  if (channels.length > 0) await client.next("subscribed");
  return client;
}

function stopAll(stage: Stage, clients: readonly Client[]): void {
  for (const client of clients) stage.add(client);
}

describe.concurrent("behind HAProxy", () => {
  test("?fresh=1 lets the balancer choose anew, with a new cookie, and takes no other cookie away", async ({
    stage,
  }) => {
    const all = await cluster(stage);
    const holding = await Promise.all(Array.from({ length: 6 }, () => connect(all)));
    stopAll(stage, holding);
    expect(new Set(holding.map(nodeOf))).toEqual(new Set(["node1"]));
    expect(holding.every((client) => client.cookies.length === 0)).toBe(true);
    // By the number of connections it is not node1's turn.
    for (const query of ["?fresh=1", "?channel=a&fresh=1"]) {
      const fresh = stage.add(await connect(all, query));
      expect(["node2", "node3"]).toContain(nodeOf(fresh));
      expect(fresh.cookies).toEqual([expect.stringMatching(/^TG=n[23]; /)]);
    }
    const options = (query: string, cookies: string) => ({
      url: `${all.haproxy.webSocketUrl}${query}`,
      options: { token: token(), headers: { cookie: cookies } },
    });
    for (const cookies of ["XTG=n2; TG=n1; YTG=z", "TG=n1; XTG=n1", "a=b;TG=n1"]) {
      const { url, options: given } = options("?fresh=1", cookies);
      expect(["node2", "node3"]).toContain(nodeOf(await stage.client(url, given)));
    }
    // Only what bears its name is meant.
    const { url, options: given } = options("?refresh=1", "TG=n1");
    expect(nodeOf(await stage.client(url, given))).toBe("node1");
  });

  test("a node that takes no more gets no more, though its cookie is brought: not ready is `down`", async ({
    stage,
  }) => {
    const all = await cluster(stage);
    stage.add(await connect(all));
    await all.haproxy.command("set server gateway/node1 state maint");
    const total = async () => (await all.haproxy.servers())[0]?.total;
    const before = await total();
    const moved = await Promise.all(Array.from({ length: 30 }, () => connect(all)));
    stopAll(stage, moved);
    expect(moved.map(nodeOf)).not.toContain("node1");
    for (const client of moved) expect(client.cookies).toEqual([expect.stringMatching(/^TG=n[23]; /)]);
    expect(await total()).toBe(before);
    // The state `drain`, in contrast, obeys cookies, which is why no deployment should use it here.
    await all.haproxy.command("set server gateway/node1 state drain");
    expect(nodeOf(stage.add(await connect(all)))).toBe("node1");
    await all.haproxy.command("set server gateway/node1 state ready");
  });

  test("a node that was told to stop is left within three seconds by all who come, fresh or not", async ({
    stage,
  }) => {
    const all = await cluster(stage);
    const held = stage.add(await connect(all));
    expect(nodeOf(held)).toBe("node1");
    all.first.kill("SIGTERM");
    await all.haproxy.waitForNodes(2);
    const before = (await all.haproxy.servers())[0]?.total;
    while (held.isOpen) {
      for (const query of ["", "?fresh=1"]) {
        const client = stage.add(await connect(all, query));
        expect(nodeOf(client)).not.toBe("node1");
        client.stop();
      }
      await sleep(50);
    }
    expect((await all.haproxy.servers())[0]?.total).toBe(before);
    expect(await all.first.process.exited).toEqual({ code: 0, signal: null });
    expect((await refusal(all.haproxy.webSocketUrl, { token: "x" })).status).toBe(401);
  });

  test("a node hands its clients over: nobody is closed, and nobody misses an event", async ({ stage }) => {
    const all = await cluster(stage);
    const old = await Promise.all(Array.from({ length: 40 }, () => connect(all, "", ["handover"])));
    stopAll(stage, old);
    expect(new Set(old.map(nodeOf))).toEqual(new Set(["node1"]));

    let count = 0;
    let isOver = false;
    const publishing = (async () => {
      while (!isOver) {
        await redis.cli("PUBLISH", "tidegate:handover", String(count++));
        await sleep(20);
      }
    })();
    const codes: number[] = [];
    for (const client of old) void client.closed.then(({ code }) => codes.push(code));
    all.first.kill("SIGTERM");
    const start = performance.now();
    const next = await Promise.all(
      old.map(async (client) => {
        const closing = await client.next("closing", 10_000);
        const { grace, reconnect_in: reconnectIn } = closing as unknown as {
          grace: number;
          reconnect_in: number;
        };
        expect(closing).toMatchObject({ code: 4000, reason: "shutting_down", fresh: true });
        expect(grace).toBeGreaterThan(0);
        expect(reconnectIn).toBeLessThan(grace);
        await sleep(reconnectIn);
        const fresh = stage.add(await connect(all, "?fresh=1", ["handover"]));
        expect(client.isOpen).toBe(true);
        client.socket.close(1000);
        return fresh;
      }),
    );
    expect(await all.first.process.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - start).toBeLessThan(9_000);
    await sleep(300);
    isOver = true;
    await publishing;
    expect(next.map(nodeOf)).not.toContain("node1");
    expect(codes).toEqual(old.map(() => 1000));
    const expected = Array.from({ length: count }, (_, i) => i);
    for (const [i, fresh] of next.entries()) {
      await fresh.next((frame) => frame.data === count - 1);
      const data = (client: Client) => client.events("handover").map((event) => event.data as number);
      const union = new Set([...data(old[i] as Client), ...data(fresh)]);
      const from = Math.min(...union);
      expect([...union].sort((a, b) => a - b)).toEqual(expected.slice(from));
      expect(from).toBeLessThan(5);
    }
  });
});
