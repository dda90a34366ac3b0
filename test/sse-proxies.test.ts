import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect } from "vitest";
import { root, until } from "../deploy/local/process.ts";
import { answerOf, BlockParser, blocksIn, EventStream, manyUrl, streamUrl } from "./support/event-stream.ts";
import { variant } from "./support/haproxy.ts";
import { startNginx } from "./support/nginx.ts";
import { run } from "./support/run.ts";
import { type GatewayNode, type RedisServer, type Stage, sharedStage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

/* Event streams through HAProxy and nginx, each with the repository's configuration. */

const stage = sharedStage();
const me = { token: token() };
const ORIGIN = "https://app.example.com";
const BEAT = { TIDEGATE_HEARTBEAT: "5s", TIDEGATE_PONG_TIMEOUT: "2s" };
let redis: RedisServer;
let node: GatewayNode;
let ca: Buffer;

beforeAll(async () => {
  execFileSync(join(root, "deploy/certificate.sh"));
  ca = readFileSync(join(root, ".tidegate/certificate.pem"));
  redis = await stage.redis();
  node = await stage.node({ redis, env: { ...BEAT, TIDEGATE_ALLOWED_ORIGINS: ORIGIN } });
});

async function open(stage: Stage, url: string, lastEventId?: string): Promise<EventStream> {
  return stage.add(await EventStream.open(url, { ...me, lastEventId }));
}

async function publish(base: string, channel: string, data: unknown): Promise<void> {
  const response = await fetch(`${base}/v1/channels/${channel}/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${me.token}`, "content-type": "application/json" },
    body: JSON.stringify({ data }),
  });
  expect(response.status).toBe(201);
}

/** Streams over one HTTP/2 connection. */
function openHttp2(
  stage: Stage,
  httpsUrl: string,
  path: string,
): { status: () => number | undefined; parser: BlockParser } {
  const session = connectHttp2(httpsUrl, { ca });
  session.on("error", () => {});
  stage.add({ stop: () => session.destroy() });
  const request = session.request({
    ":path": path,
    accept: "text/event-stream",
    authorization: `Bearer ${me.token}`,
  });
  request.on("error", () => {});
  const parser = new BlockParser();
  let status: number | undefined;
  request.on("response", (headers) => {
    status = headers[":status"];
  });
  request.setEncoding("utf8");
  request.on("data", (chunk: string) => parser.push(chunk));
  return { status: () => status, parser };
}

async function through(kind: string, stage: Stage, nodes: GatewayNode[], ...changes: [string, string][]) {
  if (kind === "nginx") return startNginx(stage, nodes, ...changes);
  const haproxy = await stage.haproxy({ nodes, file: variant(stage, ...changes) });
  await haproxy.waitForNodes(nodes.length);
  return haproxy;
}

test("nginx takes its configuration without a warning", async () => {
  const { code, stderr } = await run("nginx", ["-t", "-p", root, "-c", "deploy/nginx.conf"]);
  expect(stderr).not.toMatch(/\[(warn|emerg)\]/);
  expect(code).toBe(0);
});

describe.concurrent.each(["haproxy", "nginx"])("through %s", { timeout: 60_000 }, (kind) => {
  test("an event comes when it is published, over HTTP/1.1 and over HTTP/2, beside WebSockets", async ({
    stage,
  }) => {
    const proxy = await through(kind, stage, [node]);
    const channel = `${kind}-now`;
    const one = await open(stage, streamUrl(proxy.url, channel));
    const many = openHttp2(stage, proxy.httpsUrl, manyUrl("", channel, `${kind}-other`));
    const single = openHttp2(stage, proxy.httpsUrl, streamUrl("", channel));
    const socket = await stage.client(proxy.webSocketUrl, { ...me, channels: [channel] });
    await socket.next("subscribed");
    await until(
      "the streams are open",
      () => many.parser.blocks.length > 0 && single.parser.blocks.length > 0,
    );
    expect([many.status(), single.status()]).toEqual([200, 200]);
    const start = performance.now();
    await publish(proxy.url, channel, { n: 1 });
    const block = await one.next("message");
    expect(block.data).toBe('{"n":1}');
    expect((await socket.next("message")).data).toEqual({ n: 1 });
    await until("HTTP/2 has it too", () =>
      [many, single].every(({ parser }) => parser.blocks.some(({ data }) => data)),
    );
    expect(performance.now() - start).toBeLessThan(3_000);
    const { headers } = await one.opened;
    expect(headers).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": expect.stringContaining("no-transform"),
    });
  });

  test("a stream in which nobody says anything lives by its heartbeat, and is cut when its node hangs", async ({
    stage,
  }) => {
    const changes: [string, string][] =
      kind === "haproxy"
        ? [
            ["timeout client 75s", "timeout client 8s"],
            ["timeout server 90s", "timeout server 8s"],
          ]
        : [["proxy_read_timeout 90s", "proxy_read_timeout 8s"]];
    const silent = await stage.node({ env: { TIDEGATE_HEARTBEAT: "60s" } });
    const [beating, hanging] = await Promise.all(
      [node, silent].map(async (one) => {
        const proxy = await through(kind, stage, [one], ...changes);
        return {
          stream: await open(stage, streamUrl(proxy.url, `${kind}-quiet`)),
          http2: openHttp2(stage, proxy.httpsUrl, streamUrl("", `${kind}-quiet`)),
        };
      }),
    );
    await until("the silent one is cut", () => hanging?.stream.isEnded ?? false, 20_000);
    await sleep(8_000); // as long again
    expect(beating?.stream.isEnded).toBe(false);
    const comments = (blocks: readonly { comments: string[] }[] = []) =>
      blocks.filter((one) => one.comments.length > 0);
    expect(comments(beating?.stream.blocks).length).toBeGreaterThanOrEqual(2);
    expect(comments(beating?.http2.parser.blocks).length).toBeGreaterThanOrEqual(2);
  });

  test("a node's death costs nothing on two channels: the client goes on elsewhere", async ({ stage }) => {
    const nodes = await Promise.all(["a", "b"].map((id) => stage.node({ redis, id })));
    const proxy = await through(kind, stage, nodes);
    const channels = [`${kind}-x`, `${kind}-y`];
    const url = streamUrl(proxy.url, ...channels);
    let stream = await open(stage, url);
    const found: unknown[] = [];
    let n = 0;
    const publishBoth = async () => {
      for (const channel of channels) await publish(node.url, channel, ++n);
    };
    await publishBoth();
    await until("both are there", () => stream.data.length === 2);
    const first = stream;
    for (const one of nodes) one.kill("SIGSTOP"); // whichever it is on
    await publishBoth();
    nodes[0]?.kill("SIGCONT");
    nodes[1]?.kill("SIGKILL");
    await publishBoth();
    if (await Promise.race([first.ended.then(() => true), sleep(1_000, false)])) {
      found.push(...first.data);
      await until("somebody answers", async () => {
        stream = stage.add(new EventStream(url, { ...me, lastEventId: first.lastId }));
        return (await stream.next(({ retry }) => retry !== undefined)).id !== undefined;
      });
    }
    await publishBoth();
    const numbers = () =>
      [...found, ...stream.data].map((one) => (one as { data: number }).data).sort((a, b) => a - b);
    await until("all are there", () => numbers().includes(n) && numbers().includes(n - 1));
    expect(numbers()).toEqual(Array.from({ length: n }, (_, i) => i + 1));
  });

  test("without a node a stream is told when to come back, by a 200 that any page may read; others hear 503", async ({
    stage,
  }) => {
    const gone = await stage.node();
    const proxy = await through(kind, stage, [gone]);
    gone.kill();
    await gone.process.exited;
    const answer = await answerOf(streamUrl(proxy.url, "a"), { ...me, headers: { origin: ORIGIN } });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      "content-type": "text/event-stream",
      "access-control-allow-origin": ORIGIN,
    });
    expect(blocksIn(answer.body)).toEqual([{ retry: 3_000, comments: [], unknown: [] }]);
    const other = await answerOf(streamUrl(proxy.url, "a"), {
      ...me,
      headers: { accept: "application/json" },
    });
    expect(other.status).toBe(503);
  });

  test("what a node refuses for good stays refused, and what it tells within a stream comes through", async ({
    stage,
  }) => {
    const full = await stage.node({ env: { TIDEGATE_MAX_CONNECTIONS: "1" } });
    const proxy = await through(kind, stage, [full]);
    expect((await answerOf(streamUrl(proxy.url, "a"), {})).status).toBe(401);
    expect((await answerOf(streamUrl(proxy.url, "a"), { ...me, lastEventId: "garbage" })).status).toBe(400);
    await open(stage, streamUrl(proxy.url, "a"));
    const answer = await answerOf(streamUrl(proxy.url, "a"), me);
    expect([answer.status, blocksIn(answer.body)[0]?.event]).toEqual([200, "$error"]);
  });
});

test("an address that is over HAProxy's limit is told by a stream that ends, and others by 429", async ({
  stage,
}) => {
  const haproxy = await stage.haproxy({ nodes: [node], env: { HAPROXY_MAXCONN_PER_ADDRESS: "2" } });
  await haproxy.waitForNodes(1);
  await open(stage, streamUrl(haproxy.url, "a"));
  await open(stage, streamUrl(haproxy.url, "a"));
  const answer = await answerOf(streamUrl(haproxy.url, "a"), { ...me, headers: { origin: ORIGIN } });
  expect([answer.status, answer.headers["content-type"]]).toEqual([200, "text/event-stream"]);
  expect(answer.headers["access-control-allow-origin"]).toBe(ORIGIN);
  expect(blocksIn(answer.body)).toEqual([{ retry: 10_000, comments: [], unknown: [] }]);
  const other = await answerOf(streamUrl(haproxy.url, "a"), {
    ...me,
    headers: { accept: "application/json" },
  });
  expect([other.status, other.headers["retry-after"]]).toEqual([429, "10"]);
});

test("HAProxy brings a stream to the emptiest node, whatever the cookie says", async ({ stage }) => {
  const nodes = await Promise.all(["a", "b"].map((id) => stage.node({ redis, id })));
  const haproxy = await stage.haproxy({ nodes });
  await haproxy.waitForNodes(2);
  const cookie = "TG=n1";
  for (let i = 0; i < 10; i++)
    stage.add(await EventStream.open(streamUrl(haproxy.url, "a"), { ...me, headers: { cookie } }));
  const states = (await haproxy.servers()).slice(0, 2).map(({ current }) => current);
  expect(states).toEqual([5, 5]);
});
