import { describe, expect } from "vitest";
import { freePort, Process, until } from "../deploy/local/process.ts";
import { chromium, emptyPage, Page } from "./support/browser.ts";
import { type Block, BlockParser, streamUrl } from "./support/event-stream.ts";
import { metric } from "./support/metrics.ts";
import { type GatewayNode, type Stage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

/* A browser's own EventSource, and curl, on two channels, through the death of the node that they are on. */

const TIMEOUT_MS = 90_000;
const CHANNELS = ["room-1", "room-2"];
const me = { token: token() };

interface Heard {
  channel: string;
  id: string;
  data: number;
}

async function publish(node: GatewayNode, channel: string, data: number): Promise<void> {
  const response = await fetch(`${node.url}/v1/channels/${channel}/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${me.token}`, "content-type": "application/json" },
    body: JSON.stringify({ data }),
  });
  expect(response.status).toBe(201);
}

/** Publishes to both channels in turn: 1, 2, 3… */
class Publisher {
  count = 0;
  readonly #node: GatewayNode;

  constructor(node: GatewayNode) {
    this.#node = node;
  }

  async some(): Promise<void> {
    for (let i = 0; i < 10; i++) {
      const data = ++this.count;
      await publish(this.#node, CHANNELS[data % 2] as string, data);
    }
  }
}

/** Nothing lost, nothing twice, and each channel in its order. */
function expectAll(heard: readonly Heard[], count: number): void {
  expect(heard.map(({ data }) => data).sort((a, b) => a - b)).toEqual(
    Array.from({ length: count }, (_, i) => i + 1),
  );
  for (const channel of CHANNELS) {
    const offsets = heard.filter((one) => one.channel === channel).map(({ id }) => Number(id.split(":")[1]));
    expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
  }
}

async function listen(page: Page, url: string): Promise<void> {
  await page.value(`
    window.heard = [];
    window.told = [];
    window.opened = 0;
    window.source = new EventSource(${JSON.stringify(url)});
    source.onopen = () => opened++;
    source.onmessage = ({ data }) => heard.push(JSON.parse(data));
    for (const type of ["$lost", "$error", "$closing"]) source.addEventListener(type, ({ data }) => told.push(data));
  `);
  await until("the browser is in", async () => (await page.value<number>("source.readyState")) === 1);
}

async function three(stage: Stage, origin: string) {
  const redis = await stage.redis();
  const env = { TIDEGATE_ALLOWED_ORIGINS: origin };
  const nodes = await Promise.all(["node1", "node2", "node3"].map((id) => stage.node({ redis, id, env })));
  return { redis, env, nodes };
}

async function withStream(nodes: readonly GatewayNode[]): Promise<GatewayNode> {
  for (const node of nodes)
    if ((await metric(node, 'tidegate_connections{transport="sse"}')) > 0) return node;
  throw new Error("no node has a stream");
}

describe.skipIf(chromium === undefined)(
  "an EventSource of Chromium (not where there is none)",
  { timeout: TIMEOUT_MS },
  () => {
    test("loses nothing and hears nothing twice behind HAProxy, over HTTP/2, although its node is killed", async ({
      stage,
    }) => {
      const origin = await emptyPage(stage);
      const { nodes } = await three(stage, origin);
      const haproxy = await stage.haproxy({ nodes });
      await haproxy.waitForNodes(3);
      const page = await Page.open(stage, origin);
      await listen(page, `${streamUrl(haproxy.httpsUrl, ...CHANNELS)}&token=${me.token}`);
      const victim = await withStream(nodes);
      const publisher = new Publisher(nodes.find((node) => node !== victim) as GatewayNode);
      await publisher.some();
      await until(
        "the first are there",
        async () => (await page.value<number>("heard.length")) === publisher.count,
      );
      victim.kill();
      await publisher.some();
      await until("it is back", async () => (await page.value<number>("opened")) >= 2, 30_000);
      await publisher.some();
      await until("all are there", async () => (await page.value<number>("heard.length")) >= publisher.count);
      expectAll(await page.value<Heard[]>("heard"), publisher.count);
      expect(await page.value("told")).toEqual([]);
      expect(haproxy.output.some((line) => line.includes("GET /v1/events HTTP/2.0"))).toBe(true);
    });

    test("comes back by itself to a node that was killed and is back, and moves when a node stops", async ({
      stage,
    }) => {
      const origin = await emptyPage(stage);
      const { redis, env, nodes } = await three(stage, origin);
      const [other] = nodes as [GatewayNode];
      const first = await stage.node({ redis, env, port: await freePort() });
      const page = await Page.open(stage, origin);
      await listen(page, `${streamUrl(first.url, ...CHANNELS)}&token=${me.token}`);
      const publisher = new Publisher(other);
      await publisher.some();
      await until(
        "the first are there",
        async () => (await page.value<number>("heard.length")) === publisher.count,
      );
      first.kill();
      await first.process.exited;
      await publisher.some();
      const again = await stage.node({ redis, env: { ...env, TIDEGATE_DRAIN_TIME: "1s" }, port: first.port });
      await until("it is back", async () => (await page.value<number>("opened")) === 2, 30_000);
      await publisher.some();
      again.kill("SIGTERM");
      await again.process.exited;
      await publisher.some();
      await stage.node({ redis, env, port: first.port });
      await until("it is back once more", async () => (await page.value<number>("opened")) >= 3, 30_000);
      await publisher.some();
      await until("all are there", async () => (await page.value<number>("heard.length")) >= publisher.count);
      expectAll(await page.value<Heard[]>("heard"), publisher.count);
      // A node that has just started, and has not heard from Redis yet, says: not now. Of a loss nobody is told.
      const told = await page.value<string[]>("told");
      expect(told.filter((text) => !/shutting_down|"temporary":true/.test(text))).toEqual([]);
    });

    test("comes back when all nodes were gone, since HAProxy's own answer lets it", async ({ stage }) => {
      const origin = await emptyPage(stage);
      const redis = await stage.redis();
      const env = { TIDEGATE_ALLOWED_ORIGINS: origin };
      const [port, adminPort] = [await freePort(), await freePort()];
      const node = await stage.node({ redis, env, port, adminPort });
      const haproxy = await stage.haproxy({ nodes: [node] });
      await haproxy.waitForNodes(1);
      const page = await Page.open(stage, origin);
      await listen(page, `${streamUrl(haproxy.url, ...CHANNELS)}&token=${me.token}`);
      node.kill();
      await until(
        "it has heard that nobody is there",
        async () => (await page.value<number>("opened")) >= 2,
        30_000,
      );
      const back = await stage.node({ redis, env, port, adminPort });
      const publisher = new Publisher(back);
      await publisher.some();
      await until(
        "all are there",
        async () => (await page.value<number>("heard.length")) >= publisher.count,
        30_000,
      );
      expectAll(await page.value<Heard[]>("heard"), publisher.count);
    });
  },
);

describe("curl -N", { timeout: TIMEOUT_MS }, () => {
  test("behind HAProxy loses nothing on two channels when it is started again with the last id", async ({
    stage,
  }) => {
    const { nodes } = await three(stage, "none");
    const haproxy = await stage.haproxy({ nodes });
    await haproxy.waitForNodes(3);
    const curl = (lastId?: string) => {
      const args = ["-sN", "-H", "Accept: text/event-stream", "-H", `Authorization: Bearer ${me.token}`];
      if (lastId !== undefined) args.push("-H", `Last-Event-ID: ${lastId}`);
      return stage.add(new Process("curl", "curl", [...args, streamUrl(haproxy.url, ...CHANNELS)]));
    };
    const blocks = (of: Process): Block[] => {
      const parser = new BlockParser();
      for (const line of of.output) parser.push(`${line}\n`);
      return parser.blocks;
    };
    const heard = (of: Process) =>
      blocks(of).flatMap(({ event, data }) =>
        data === undefined || event === "$welcome" ? [] : [JSON.parse(data) as Heard],
      );
    const first = curl();
    await until("it is in", () => blocks(first).length > 0);
    const victim = await withStream(nodes);
    const publisher = new Publisher(nodes.find((node) => node !== victim) as GatewayNode);
    await publisher.some();
    await until("the first are there", () => heard(first).length === publisher.count);
    victim.kill();
    await publisher.some();
    await first.exited;
    const second = curl(blocks(first).findLast(({ id }) => id !== undefined)?.id);
    await until("it is in again", () => blocks(second).length > 0);
    await publisher.some();
    await until("all are there", () => heard(first).length + heard(second).length >= publisher.count);
    expectAll([...heard(first), ...heard(second)], publisher.count);
  });
});
