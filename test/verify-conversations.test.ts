import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect } from "vitest";
import { WebSocketServer } from "ws";
import { until } from "../deploy/local/process.ts";
import { cursorHead, encodeMark } from "../src/protocol/cursor.ts";
import { Checker } from "../src/verify/checker.ts";
import type { Claim } from "../src/verify/claim.ts";
import { Counts } from "../src/verify/counts.ts";
import { Bookmark, SseConversation } from "../src/verify/sse-conversation.ts";
import { type Outcome, TRESPASSES } from "../src/verify/trespass.ts";
import { WsConversation } from "../src/verify/ws-conversation.ts";
import { type Stage, test } from "./support/servers.ts";

/* What a client of `tidegate verify` makes of what a server says, which is made up here. */

const RUN = "r";
const [A, B] = ["verify-r-0", "verify-r-1"];
const id = (offset: number) => `e-x${offset}:${offset}`;
const position = (offset: number) => ({ epoch: "e", check: `x${offset}`, offset });
const cursor = (...offsets: number[]) =>
  cursorHead([A, B]) + offsets.map((offset) => encodeMark(position(offset))).join("");
const data = (channel: string, n = 1) => ({ run: RUN, channel, publisher: 0, sequence: n, at: 1 });

const begin = (at: string) => `retry: 10\nid: ${at}\n\nevent: $welcome\ndata: {"heartbeat":30000}\n\n`;
const block = (at: string, text: unknown, type = "message") =>
  `event: ${type}\nid: ${at}\ndata: ${JSON.stringify(text)}\n\n`;
const END = "event: $error\ndata: {}\n\n";

function client(channels: readonly string[]) {
  const counts = new Counts();
  const checker = new Checker(counts);
  const claims = new Map<string, Claim>(channels.map((channel) => [channel, checker.claim(channel)]));
  const refusals: string[] = [];
  let ends = 0;
  const options = {
    run: RUN,
    token: "t",
    fresh: false,
    onReady: () => {},
    onClosing: () => {},
    onRefused: (why: string) => void refusals.push(why),
    onEnd: () => void ends++,
  };
  return { counts, checker, claims, refusals, options, ended: (times: number) => () => ends === times };
}

/** An HTTP server. @returns its URL */
async function serve(stage: Stage, answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  stage.add({ stop: () => server.close() });
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A client that goes through streams which say this, one after the other. */
async function follow(stage: Stage, channels: readonly string[], ...streams: string[]) {
  const one = client(channels);
  const bookmark = new Bookmark();
  const asked: unknown[] = [];
  const url = await serve(stage, (req, res) => {
    res.writeHead(200, { "content-type": "text/event-stream" }).end(streams[asked.length]);
    asked.push(req.headers["last-event-id"]);
  });
  for (let times = 1; times <= streams.length; times++) {
    new SseConversation(one.checker, one.claims, bookmark, url, one.options);
    await until("it has ended", one.ended(times));
  }
  one.checker.finish();
  expect(one.refusals).toEqual([]);
  return { counts: one.counts, asked, id: bookmark.place.id };
}

describe.concurrent("an event stream that goes on before there was an event", () => {
  test("begins, of many channels, at the place that was asked for", async ({ stage }) => {
    const { counts, asked } = await follow(stage, [A, B], begin(cursor(5, 5)), begin(cursor(5, 5)));
    expect(asked).toEqual([undefined, cursor(5, 5)]);
    expect(counts.silent).toBe(0);
    const elsewhere = await follow(stage, [A, B], begin(cursor(5, 5)), begin(cursor(5, 8)));
    expect(elsewhere.counts.silent).toBe(1);
  });

  test("begins, of one channel, at the place that was asked for", async ({ stage }) => {
    const { counts, asked } = await follow(stage, [A], begin(id(5)), begin(id(5)));
    expect(asked).toEqual([undefined, id(5)]);
    expect(counts.silent).toBe(0);
    const elsewhere = await follow(stage, [A], begin(id(5)), begin(id(8)));
    expect(elsewhere.counts.silent).toBe(1);
  });

  test("may tell that it does not", async ({ stage }) => {
    const lost = { channel: B, id: id(8), reason: "trimmed" };
    const many = begin(cursor(5, 8)) + block(cursor(5, 8), lost, "$lost");
    const { counts } = await follow(stage, [A, B], begin(cursor(5, 5)), many);
    expect([counts.silent, counts.told.get("trimmed")]).toEqual([0, 1]);
  });

  test("owes the first event from where it began", async ({ stage }) => {
    const { counts } = await follow(stage, [A], begin(id(5)), begin(id(5)) + block(id(7), data(A)));
    expect([counts.silent, counts.deliveries]).toEqual([1, 1]);
  });
});

test("the id of a final end is no place to come back to", async ({ stage }) => {
  const closing = 'event: $closing\nid: stop\ndata: {"type":"closing","code":4000,"reason":"x"}\n\n';
  const { asked, id: last } = await follow(stage, [A], begin(id(5)) + closing, begin(id(5)));
  expect([asked, last]).toEqual([[undefined, id(5)], id(5)]);
});

describe.concurrent("an event counts as foreign", () => {
  test("on an event stream of one channel", async ({ stage }) => {
    const wrong = [data(B), { ...data(A), run: "other" }, "x"].map((what, i) => block(id(6 + i), what));
    const idless = `data: ${JSON.stringify(data(A))}\n\n`;
    const own = block(id(9), { user: "ann" }, "$join") + block(id(10), data(A));
    const { counts } = await follow(stage, [A], begin(id(5)) + wrong.join("") + idless + own + END);
    expect(counts).toMatchObject({ foreign: 4, silent: 0, deliveries: 1 });
    expect(counts.firstForeign).toContain(`"channel":"${B}"`);
  });

  test("on an event stream of many channels", async ({ stage }) => {
    const event = (channel: string, n: number, of = channel) =>
      block(cursor(n, 5), { type: "message", channel, id: id(n), timestamp: "t", data: data(of, n) });
    const frames = event(A, 6) + event(A, 7, B) + event("verify-r-9", 8);
    const { counts } = await follow(stage, [A, B], begin(cursor(5, 5)) + frames);
    expect(counts).toMatchObject({ foreign: 2, deliveries: 1 });
  });

  test("on a WebSocket", async ({ stage }) => {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    stage.add({ stop: () => server.close() });
    server.on("connection", (socket) => {
      const event = (channel: string, n: number, what: unknown) => ({
        type: "message",
        channel,
        id: id(n),
        timestamp: "t",
        data: what,
      });
      const { id: _, ...idless } = event(A, 9, data(A));
      const frames = [
        { type: "subscribed", channel: A, id: id(5) },
        event(A, 6, data(A)),
        event(B, 6, data(B)),
        event(A, 7, data(B)),
        idless,
        { ...event(A, 8, { user: "ann" }), type: "$join" },
      ];
      socket.send('{"type":"welcome","heartbeat":30000}');
      socket.once("message", () => {
        for (const frame of frames) socket.send(JSON.stringify(frame));
        socket.close(4000);
      });
    });
    await once(server, "listening");
    const one = client([A]);
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
    new WsConversation(one.checker, one.claims, { ...one.options, url, maxRetryMs: 100 });
    await until("it has ended", one.ended(1));
    one.checker.finish();
    expect(one.counts).toMatchObject({ foreign: 3, silent: 0, deliveries: 1 });
    expect(one.refusals).toEqual([]);
  });
});

describe.concurrent("somebody without a grant who is answered", () => {
  const ways = ["stream", "streams"] as const;

  async function outcomes(stage: Stage, status: number, body: string): Promise<Outcome[][]> {
    const http = await serve(stage, (_, res) => {
      res.writeHead(status, { "content-type": "text/event-stream" }).end(body);
    });
    const targets = [A, B].map((channel) => ({ channel, position: position(1) }));
    const [first, second] = targets as [(typeof targets)[0], (typeof targets)[0]];
    return Promise.all(
      ways.map(async (way) => {
        const told: Outcome[] = [];
        const intruder = { url: { http, webSocket: "" }, token: "t" };
        const end = TRESPASSES[way]?.begin([first, second], intruder, (outcome) => told.push(outcome));
        await until("something is told", () => told.length > 0);
        end?.();
        return told;
      }),
    );
  }

  test.for([
    ["403", 403, "{}", "refused"],
    ["a beginning", 200, "retry: 10\nid: e-x1:1\n\n", "let in"],
    ["an event", 200, "data: 1\n\n", "let in"],
    [
      "`not now` by the node",
      200,
      "event: $error\nretry: 10\ndata: {}\n\n",
      { notTried: "$error undefined undefined" },
    ],
    ["`not now` by the balancer", 200, "retry: 10000\n\n", { notTried: "the stream ended" }],
    ["401", 401, "no", { notTried: "refused: 401 no" }],
  ] as const)("%s by a stream", async ([, status, body, outcome], { stage }) => {
    for (const [first] of await outcomes(stage, status, body)) expect(first).toEqual(outcome);
  });
});
