import { beforeAll, describe, expect } from "vitest";
import { answerOf, type EventStreamOptions, manyUrl, streamUrl } from "./support/event-stream.ts";
import { exchange, head } from "./support/raw.ts";
import { type GatewayNode, sharedStage, test } from "./support/servers.ts";
import { ORIGIN, open, streamNode } from "./support/stream-node.ts";
import { token } from "./support/token.ts";

/* Who gets an event stream, and who is refused one for good. */

const stage = sharedStage();
let node: GatewayNode;

beforeAll(async () => {
  node = await streamNode(stage);
});

const numbers = (count: number) => Array.from({ length: count }, (_, i) => `c-${i}`);
const only = (channel: string) => token({ channels: { [channel]: ["subscribe"] } });

describe("what will not change is refused", () => {
  const cases: [string, number, string, () => [string, EventStreamOptions?]][] = [
    ["no token", 401, "token_missing", () => [streamUrl(node.url, "a"), {}]],
    ["a bad token", 401, "token_invalid", () => [streamUrl(node.url, "a"), { token: "x" }]],
    [
      "an expired token",
      401,
      "token_expired",
      () => [streamUrl(node.url, "a"), { token: token({ expiresIn: -60 }) }],
    ],
    ["another's channel", 403, "forbidden", () => [streamUrl(node.url, "b"), { token: only("a") }]],
    [
      "another's among several",
      403,
      "forbidden",
      () => [streamUrl(node.url, "a", "b"), { token: only("a") }],
    ],
    [
      "another's channel, with an id of it",
      403,
      "forbidden",
      () => [streamUrl(node.url, "b"), { token: only("a"), lastEventId: "43604441b0107ade-6b043420:42" }],
    ],
    [
      "a cookie without an origin",
      403,
      "origin_not_allowed",
      () => [streamUrl(node.url, "a"), { headers: { cookie: `session=${token()}` } }],
    ],
    [
      "a strange origin",
      403,
      "origin_not_allowed",
      () => [streamUrl(node.url, "a"), { token: token(), headers: { origin: "https://evil.example" } }],
    ],
    ["no channels", 400, "bad_frame", () => [`${node.url}/v1/events`]],
    ["101 channels", 400, "bad_frame", () => [manyUrl(node.url, ...numbers(101))]],
    ["a malformed channel", 400, "bad_channel", () => [manyUrl(node.url, "a", "b c")]],
    ["a malformed channel alone", 400, "bad_channel", () => [streamUrl(node.url, "-a")]],
    [
      "a garbage id",
      400,
      "bad_since",
      () => [streamUrl(node.url, "a"), { token: token(), lastEventId: "garbage" }],
    ],
    [
      "a garbage cursor",
      400,
      "bad_since",
      () => [manyUrl(node.url, "a", "b"), { token: token(), lastEventId: "garbage" }],
    ],
    ["a garbage id in the query", 400, "bad_since", () => [`${streamUrl(node.url, "a")}?last_event_id=%00`]],
    [
      "an id of an event where a cursor belongs",
      400,
      "bad_since",
      () => [manyUrl(node.url, "a", "b"), { token: token(), lastEventId: "e-c:1" }],
    ],
    [
      "a cursor of other channels than it says",
      400,
      "bad_since",
      () => [`${manyUrl(node.url, "a")}&last_event_id=c1AAAAAAAAAAAA&previous_channel=b`, { token: token() }],
    ],
    ["a bad last", 400, "bad_limit", () => [`${streamUrl(node.url, "a")}?last=1001`]],
  ];
  test.for(cases)("%s: %d %s", async ([, status, code, request]) => {
    const [url, options = { token: token() }] = request();
    const answer = await answerOf(url, options);
    expect([answer.status, answer.headers["content-type"]]).toEqual([status, "application/problem+json"]);
    expect(JSON.parse(answer.body)).toMatchObject({ code, status });
  });

  test("a cursor of other channels, be they known", async ({ stage }) => {
    const stream = await open(stage, manyUrl(node.url, "a", "b"));
    const { lastId = "" } = stream;
    for (const channels of [["b", "a"], ["a", "c"], ["a"], ["a", "b", "c"]]) {
      const answer = await answerOf(manyUrl(node.url, ...channels), { token: token(), lastEventId: lastId });
      expect([channels, answer.status, JSON.parse(answer.body)]).toMatchObject([
        channels,
        400,
        { code: "bad_since" },
      ]);
    }
  });

  test("an id of 8 KB, and one of 64 KB", async () => {
    const ask = (id: string) =>
      exchange(
        node.port,
        head("GET /v1/channels/a/events HTTP/1.1", {
          Host: "x",
          Accept: "text/event-stream",
          Authorization: `Bearer ${token()}`,
          "Last-Event-ID": id,
        }),
      );
    expect(await ask("x".repeat(8_192))).toMatchObject({ status: 400 });
    const answer = await ask("x".repeat(65_536));
    expect(answer === undefined || answer.status >= 400).toBe(true);
    expect(
      (
        await answerOf(`${streamUrl(node.url, "a")}?last_event_id=${"x".repeat(65_536)}`, {
          token: token(),
        }).catch(() => undefined)
      )?.status ?? 431,
    ).toBeGreaterThanOrEqual(400);
    await expect(fetch(`${node.admin}/readyz`)).resolves.toMatchObject({ status: 200 });
  });

  test("other methods, and what a page may ask before", async () => {
    for (const url of [manyUrl(node.url, "a"), streamUrl(node.url, "a")]) {
      const answer = await answerOf(url, { token: token(), method: "PUT" });
      expect([answer.status, answer.headers.allow]).toEqual([405, expect.stringContaining("GET")]);
      const preflight = await answerOf(url, {
        method: "OPTIONS",
        headers: { origin: ORIGIN, "access-control-request-headers": "authorization, last-event-id" },
      });
      expect(preflight.status).toBe(204);
      expect(preflight.headers).toMatchObject({
        "access-control-allow-origin": ORIGIN,
        "access-control-allow-headers": expect.stringMatching(/Last-Event-ID/i),
      });
    }
    expect((await answerOf(manyUrl(node.url, "a"), { method: "HEAD" })).body).toBe("");
  });

  test("without `Accept: text/event-stream` a channel gives its history, and many give a stream all the same", async ({
    stage,
  }) => {
    const headers = { accept: "*/*" };
    expect(
      (await answerOf(streamUrl(node.url, "a"), { token: token(), headers })).headers["content-type"],
    ).toBe("application/json");
    const stream = await open(stage, manyUrl(node.url, "a"), { token: token(), headers });
    expect((await stream.opened).headers["content-type"]).toBe("text/event-stream");
  });
});

describe("who is let in", () => {
  test("the token may be in the query, or in a cookie of an allowed page", async ({ stage }) => {
    await open(stage, `${streamUrl(node.url, "a")}?token=${token()}`, {});
    const stream = await open(stage, streamUrl(node.url, "a"), {
      headers: { cookie: `session=${token()}`, origin: ORIGIN },
    });
    expect((await stream.opened).headers).toMatchObject({
      "access-control-allow-origin": ORIGIN,
      "access-control-allow-credentials": "true",
      vary: "Origin",
    });
  });

  test("100 channels on one stream", async ({ stage }) => {
    const stream = await open(stage, manyUrl(node.url, ...numbers(100)));
    expect(stream.lastId).toHaveLength(6 + 800);
  });
});
