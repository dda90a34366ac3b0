import { connect } from "node:net";
import { beforeAll, describe, expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import {
  answerOf,
  blocksIn,
  EventStream,
  type EventStreamOptions,
  streamUrl,
} from "./support/event-stream.ts";
import { metric } from "./support/metrics.ts";
import { head } from "./support/raw.ts";
import { type GatewayNode, sharedStage, test } from "./support/servers.ts";
import { open, streamNode } from "./support/stream-node.ts";
import { token } from "./support/token.ts";

/* What is temporary, told within a stream that ends; and how streams end. */

const CONNECTIONS = 'tidegate_connections{transport="sse"}';
const stage = sharedStage();
let node: GatewayNode;

beforeAll(async () => {
  node = await streamNode(stage);
});

/** A stream that tells what is temporary, and ends: an EventSource comes back. */
async function expectNotNow(url: string, code: string, options: EventStreamOptions = { token: token() }) {
  const { status, headers, body } = await answerOf(url, options);
  expect([status, headers["content-type"]]).toEqual([200, "text/event-stream"]);
  const [block, ...rest] = blocksIn(body);
  expect(rest).toEqual([]);
  expect(block).toMatchObject({ event: "$error", retry: expect.any(Number), unknown: [] });
  expect(JSON.parse(block?.data ?? "")).toMatchObject({ type: "error", code, temporary: true });
}

describe.concurrent("what is temporary is told within a stream that ends", () => {
  test("a full node, and room again as soon as somebody goes, however", async ({ stage }) => {
    const full = await stage.node({ env: { TIDEGATE_MAX_CONNECTIONS: "3" } });
    const url = streamUrl(full.url, "a");
    for (let round = 0; round < 3; round++) {
      const streams = await Promise.all([1, 2, 3].map(() => open(stage, url)));
      await expectNotNow(url, "over_capacity");
      const [first, second, third] = streams as [EventStream, EventStream, EventStream];
      first.stop();
      second.stop();
      third.stop();
      await until("they are gone", async () => (await metric(full, CONNECTIONS)) === 0);
    }
    // Those that the node itself ends are no more there either.
    const brief = { token: token({ expiresIn: 2 }) };
    const streams = await Promise.all([1, 2, 3].map(() => open(stage, url, brief)));
    await Promise.all(streams.map(({ ended }) => ended));
    await Promise.all([1, 2, 3].map(() => open(stage, url)));
  });

  test("no more than fit come in at once", async ({ stage }) => {
    const redis = await stage.redis();
    const full = await stage.node({ redis, env: { TIDEGATE_MAX_CONNECTIONS: "20" } });
    const streams = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const stream = stage.add(new EventStream(streamUrl(full.url, `c-${i % 7}`), { token: token() }));
        await stream.opened;
        await stream.next(() => true);
        return stream;
      }),
    );
    const refused = streams.filter(({ blocks }) => blocks[0]?.event === "$error");
    expect(streams.length - refused.length).toBe(20);
    expect(await metric(full, CONNECTIONS)).toBe(20);
  });

  test("too many handshakes in a second", async ({ stage }) => {
    const busy = await stage.node({ env: { TIDEGATE_HANDSHAKE_RATE: "1" } });
    await open(stage, streamUrl(busy.url, "a"));
    await expectNotNow(streamUrl(busy.url, "a"), "handshake_rate");
  });

  test("a user's limit, which a thousand streams of one token meet", async ({ stage }) => {
    const strict = await stage.node({ env: { TIDEGATE_MAX_CONNECTIONS_PER_USER: "100" } });
    const mine = { token: token() };
    let open = 0;
    let refused = 0;
    for (let batch = 0; batch < 10; batch++) {
      const streams = await Promise.all(
        Array.from({ length: 100 }, async () => {
          const stream = stage.add(new EventStream(streamUrl(strict.url, "a"), mine));
          await stream.next(() => true, 10_000);
          return stream;
        }),
      );
      refused += streams.filter(({ blocks }) => blocks[0]?.data?.includes("too_many_connections")).length;
      open += streams.filter(({ blocks }) => blocks[0]?.event === undefined).length;
    }
    expect([open, refused]).toEqual([100, 900]);
    expect(await metric(strict, CONNECTIONS)).toBe(100);
    await stage.client(strict.webSocketUrl, { token: token({ sub: "another" }) });
  });

  test("Redis that is away", async ({ stage }) => {
    const redis = await stage.redis();
    const its = await stage.node({ redis });
    redis.kill("SIGSTOP");
    await expectNotNow(streamUrl(its.url, "a"), "backplane_unavailable");
    redis.kill("SIGCONT");
  });
});

/** It is told why, and the stream ends as HTTP has it. */
async function expectClosed(
  stream: EventStream,
  reason: string,
  code: number,
  temporary: boolean,
): Promise<void> {
  expect(await stream.ended).toBe(true);
  const last = stream.blocks.at(-1);
  expect(last?.event).toBe("$closing");
  expect(JSON.parse(last?.data ?? "")).toMatchObject({ type: "closing", reason, code, temporary });
  expect(last?.id).toBe(code >= 4500 ? "stop" : undefined);
}

describe.concurrent("a stream ends", () => {
  test("with its token", async ({ stage }) => {
    const stream = await open(stage, streamUrl(node.url, "a"), { token: token({ expiresIn: 2 }) });
    await expectClosed(stream, "token_expired", 4401, false);
  });

  test("when its token is revoked, or its user disconnected", async ({ stage }) => {
    const admin = {
      authorization: `Bearer ${token({ claims: { admin: ["*"] } })}`,
      "content-type": "application/json",
    };
    const revoked = await open(stage, streamUrl(node.url, "a"), {
      token: token({ sub: "rose", jwtid: "j-1" }),
    });
    const body = JSON.stringify({ jti: "j-1" });
    await fetch(`${node.url}/v1/revocations`, { method: "POST", headers: admin, body });
    await expectClosed(revoked, "token_revoked", 4503, false);
    const answer = await answerOf(streamUrl(node.url, "a"), { token: token({ sub: "rose", jwtid: "j-1" }) });
    expect(answer.status).toBe(401);

    const gone = await open(stage, streamUrl(node.url, "a"), { token: token({ sub: "dan" }) });
    await fetch(`${node.url}/v1/users/dan/connections`, { method: "DELETE", headers: admin });
    await expectClosed(gone, "disconnected", 4504, false);
    // An EventSource that nobody closed comes back by itself, until it is answered 204.
    for (const url of [streamUrl(node.url, "a"), streamUrl(node.url, "a", "b")]) {
      for (const options of [{ lastEventId: gone.lastId }, { lastEventId: gone.lastId, method: "HEAD" }]) {
        const answer = await answerOf(url, { ...options, token: token({ sub: "dan" }) });
        expect([answer.status, answer.body]).toEqual([204, ""]);
      }
      await open(stage, url, { token: token({ sub: "dan" }) });
    }
  });

  test("when the node stops: it is told, may come back at a time of its own, and the node waits for nobody", async ({
    stage,
  }) => {
    const leaving = await stage.node({ env: { TIDEGATE_DRAIN_TIME: "3s" } });
    const streams = await Promise.all([1, 2, 3].map(() => open(stage, streamUrl(leaving.url, "a"))));
    leaving.kill("SIGTERM");
    for (const stream of streams) {
      const told = await stream.next("$closing");
      const { reconnect_in, grace, fresh } = JSON.parse(told.data ?? "") as Record<string, unknown>;
      expect([told.retry, fresh]).toEqual([reconnect_in, true]);
      expect(grace).toBeGreaterThan(0);
      await expectClosed(stream, "shutting_down", 4000, true);
    }
    expect(await leaving.process.exited).toMatchObject({ code: 0 });
  });

  test("when its client goes the node that stops waits no longer, and who asks it meanwhile is told to come back", async ({
    stage,
  }) => {
    const leaving = await stage.node({ env: { TIDEGATE_DRAIN_TIME: "6s" } });
    const stream = await open(stage, streamUrl(leaving.url, "a"));
    // Its door is closed then: only who is in already can still ask.
    const socket = connect({ port: leaving.port, host: "127.0.0.1" });
    stage.add({ stop: () => socket.destroy() });
    let answer = "";
    socket
      .on("error", () => {})
      .on("data", (chunk) => {
        answer += chunk.toString();
      });
    leaving.kill("SIGTERM");
    await stream.next("$closing", 8_000);
    const headers = { Host: "x", Accept: "text/event-stream", Authorization: `Bearer ${token()}` };
    socket.write(head("GET /v1/channels/a/events HTTP/1.1", headers));
    await until("it is answered", () => answer.includes("data: "));
    expect(answer).toMatch(/^HTTP\/1\.1 200 .*event: \$error\nretry: \d+\ndata: .*"shutting_down"/s);
    stream.stop();
    const start = performance.now();
    await leaving.process.exited;
    expect(performance.now() - start).toBeLessThan(2_500);
  });

  test("when the client goes in the middle, and nothing of it stays", async ({ stage }) => {
    const its = await stage.node();
    const request = head("GET /v1/channels/a/events HTTP/1.1", {
      Host: "x",
      Accept: "text/event-stream",
      Authorization: `Bearer ${token()}`,
    });
    for (let i = 0; i < 50; i++) {
      const socket = connect({ port: its.port, host: "127.0.0.1" });
      socket.on("error", () => {});
      socket.write(i % 2 ? request : request.slice(0, 40));
      if (i % 3 === 0)
        await new Promise((resolve) =>
          socket
            .once("data", resolve)
            .once("close", resolve)
            .setTimeout(20, () => resolve(undefined)),
        );
      socket.resetAndDestroy();
    }
    await until("all are gone", async () => (await metric(its, CONNECTIONS)) === 0);
    expect(await metric(its, "tidegate_subscriptions")).toBe(0);
    const stream = await open(stage, streamUrl(its.url, "a"));
    expect(stream.isEnded).toBe(false);
  });

  test("not by silence: a comment comes with each heartbeat, for longer than any HTTP timeout of the node", {
    timeout: 40_000,
  }, async ({ stage }) => {
    const quiet = await stage.node({ env: { TIDEGATE_HEARTBEAT: "60s" } });
    const [still, beating] = await Promise.all([
      open(stage, streamUrl(quiet.url, "a")),
      open(stage, streamUrl(node.url, "a")),
    ]);
    await until(
      "three beats",
      () => beating.blocks.filter(({ comments }) => comments.length > 0).length >= 3,
      30_000,
    );
    expect([still.isEnded, still.blocks.length, beating.events]).toEqual([false, 2, []]);
    expect(beating.isEnded).toBe(false);
  });
});
