import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { until } from "../deploy/local/process.ts";
import { verify as command } from "../src/cli/verify.ts";
import { Checker } from "../src/verify/checker.ts";
import { Counts } from "../src/verify/counts.ts";
import type { VerifyOptions } from "../src/verify/options.ts";
import type { Report } from "../src/verify/report.ts";
import { metric } from "./support/metrics.ts";
import { type Mutation, startMutant } from "./support/mutant.ts";
import { losePublishes, unmute } from "./support/redis-faults.ts";
import { type Stage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";
import { expectKept, runVerify } from "./support/verify.ts";

/* `tidegate verify` with clients that follow event streams. */

const TIMEOUT_MS = 60_000;
const SSE: Partial<VerifyOptions> = { transports: ["sse"] };

function expectBusy(report: Report): void {
  expect(report.deliveries).toBeGreaterThan(5 * report.acknowledged);
  expect(report.recovered).toBeGreaterThan(0);
  expect(report.reconnects.cut).toBeGreaterThan(0);
  expect(report.reconnects.moved).toBeGreaterThan(0);
  expect(report.resumes.resumed).toBeGreaterThan(0);
}

describe.concurrent("verify over event streams", { timeout: TIMEOUT_MS }, () => {
  test("finds every promise kept, with streams of three channels, of one, and of sixty", async ({
    stage,
  }) => {
    const redis = await stage.redis();
    const node = await stage.node({ redis });
    const loads: Partial<VerifyOptions>[] = [
      {},
      { channelsPerClient: 1, channels: 3, clients: 30 },
      { channelsPerClient: 60, channels: 60, clients: 20 },
    ];
    for (const load of loads) {
      const report = await runVerify(node.url, { ...SSE, ...load });
      expectKept(report);
      expectBusy(report);
    }
  });

  test("finds every promise kept behind HAProxy while one node drains and another dies", async ({
    stage,
  }) => {
    const redis = await stage.redis();
    const nodes = await Promise.all(
      ["node1", "node2", "node3"].map((id) => stage.node({ redis, id, env: { TIDEGATE_DRAIN_TIME: "2s" } })),
    );
    const haproxy = await stage.haproxy({ nodes });
    await haproxy.waitForNodes(3);
    const report = await runVerify(
      haproxy.url,
      { ...SSE, durationMs: 6_000, reconnectMs: 0 },
      {
        async onStarted() {
          await sleep(1_000);
          nodes[0]?.kill("SIGTERM");
          await sleep(3_000);
          nodes[1]?.kill("SIGKILL");
        },
      },
    );
    expectKept(report);
    expect(report.reconnects.moved).toBeGreaterThan(0);
    expect(report.reconnects.lost).toBeGreaterThan(0);
    expect(report.recovered).toBeGreaterThan(0);
  });

  test("sees that clients were told when Redis loses everything", async ({ stage }) => {
    const redis = await stage.redis();
    const node = await stage.node({ redis });
    const report = await runVerify(
      node.url,
      { ...SSE, allowTold: true },
      {
        async onStarted() {
          await sleep(1_500);
          await redis.cli("FLUSHALL");
        },
      },
    );
    expectKept(report);
    expect(report.told.history_lost).toBeGreaterThan(0);
  });

  test("takes the transports that it is told", async ({ stage }) => {
    const node = await stage.node();
    const complaints: string[] = [];
    const context = {
      url: node.url,
      token: (user: string) => token({ sub: user }),
      redisUrl: undefined,
      redisPrefix: "tidegate",
      print: () => {},
      complain: (line: string) => void complaints.push(line),
      signal: new AbortController().signal,
    };
    expect(await command({ transports: "ws,mail" }, context)).toBe(2);
    expect(complaints).toEqual([expect.stringContaining("--transports is ws, sse, or ws,sse")]);
    const quick = { duration: 2_000, clients: 6, rate: 50, settle: 5_000 };
    const running = command({ ...quick, transports: "sse" }, context);
    const open = (transport: string) => metric(node, `tidegate_connections{transport="${transport}"}`);
    await until("all six are there", async () => (await open("sse")) === 6);
    expect(await open("websocket")).toBeLessThanOrEqual(2); // the publishers
    expect(await running).toBe(0);
  });
});

interface Mutant {
  readonly name: string;
  readonly mutations: readonly Mutation[];
  readonly settings?: Record<string, string>;
  readonly load?: Partial<VerifyOptions>;
  /** What is counted then. */
  readonly counted: keyof Report;
}

/** Streams of one channel alone: their ids are those of the events. */
const NARROW: Partial<VerifyOptions> = { channelsPerClient: 1, channels: 3, clients: 30 };
/** Who stays away for long has missed more than is kept, and is told so. */
const SHORT = {
  settings: { TIDEGATE_HISTORY: '{"*":{"size":5,"time":"10m"}}' },
  load: { ...NARROW, awayMs: 1_500, allowTold: true },
};

/** Each takes out of the gateway what event streams need, and verify has to see it. */
const MUTANTS: readonly Mutant[] = [
  {
    name: "a cursor that does not move",
    mutations: [{ file: "transport/sse/tracks.js", from: "if (mark)", to: "if (false)" }],
    counted: "duplicated",
  },
  {
    name: "a cursor that is ahead",
    mutations: [
      {
        file: "protocol/cursor.js",
        from: "digits(position.offset % MODULUS)",
        to: "digits((position.offset + 1) % MODULUS)",
      },
    ],
    counted: "reordered",
  },
  {
    name: "an id that stays where the stream began",
    mutations: [
      {
        file: "transport/sse/blocks.js",
        from: "function wholeOf({ text, position }) {",
        to: "const first = {}; function wholeOf({ text, position, channel }) {",
      },
      {
        file: "transport/sse/blocks.js",
        from: "idLine(position && formatId(position))",
        to: "idLine((first[channel] ??= position && formatId(position)))",
      },
    ],
    load: NARROW,
    counted: "duplicated",
  },
  {
    name: "a loss that nobody is told of",
    mutations: [
      {
        file: "transport/sse/connection.js",
        from: "this.deliver(lostBlock(channel, position, reason));",
        to: "",
      },
    ],
    ...SHORT,
    counted: "silent",
  },
  {
    name: "a replay that begins one event too early",
    mutations: [
      {
        file: "hub/past.js",
        from: "return run(found);",
        to: "return run([found.length > 0 && recent.at(since.offset), ...found].filter(Boolean));",
      },
    ],
    counted: "duplicated",
  },
  {
    name: "a `Last-Event-ID` that is not heeded",
    mutations: [
      {
        file: "transport/sse/beginning.js",
        from: 'return lastEventId || query.get("last_event_id") || undefined;',
        to: "return undefined;",
      },
    ],
    counted: "silent",
  },
  {
    name: "an event that goes to the streams of another channel",
    mutations: [
      {
        file: "transport/sse/streams.js",
        from: "broadcast(event) {\n        const here = this.#byChannel.get(event.channel);",
        to: `broadcast(event) {
          const any = Math.random() < 0.05 ? [...this.#byChannel.keys()][0] : undefined;
          const here = this.#byChannel.get(any ?? event.channel);`,
      },
    ],
    load: NARROW,
    counted: "foreign",
  },
  {
    name: "streams that need no grant",
    mutations: [
      {
        file: "transport/sse/sse.js",
        from: 'authorise(identity, "subscribe", channel, context.rules);',
        to: ";",
      },
      {
        file: "transport/sse/sse.js",
        from: '() => session.authorise("subscribe", channel)',
        to: "() => {}",
      },
    ],
    counted: "unauthorised",
  },
];

async function verdict(stage: Stage, { mutations, settings, load }: Omit<Mutant, "name" | "counted">) {
  const node = await startMutant(stage, await stage.redis(), mutations, settings);
  return runVerify(node.url, { ...SSE, settleMs: 3_000, ...load });
}

describe.concurrent("verify over event streams sees", { timeout: TIMEOUT_MS }, () => {
  test.for(MUTANTS.map((mutant) => [mutant.name, mutant] as const))("%s", async ([, mutant], { stage }) => {
    const report = await verdict(stage, mutant);
    expect(report.ok).toBe(false);
    expect(Number(report[mutant.counted]), JSON.stringify(report)).toBeGreaterThan(0);
  });

  test("none of it where nothing is taken out, and has tried every way in", async ({ stage }) => {
    const report = await verdict(stage, { mutations: [], ...SHORT });
    expectKept(report);
    expect(report.told.trimmed).toBeGreaterThan(0);
    expect(report.unauthorised).toBe(0);
    expect(report.trespassing?.notTried).toEqual({});
    const { frame, query, stream, streams, history } = report.trespassing?.refused ?? {};
    for (const refused of [frame, query, stream, streams, history]) expect(refused).toBeGreaterThan(0);
  });

  test("events that Redis loses while no check is made for them", async ({ stage }) => {
    const redis = await stage.redis();
    const mutation = {
      file: "hub/channel.js",
      from: "if (follows(event, this.position))",
      to: "if (true)",
    };
    const node = await startMutant(stage, redis, [mutation]);
    const report = await runVerify(
      node.url,
      { ...SSE, settleMs: 3_000 },
      {
        async onStarted() {
          await losePublishes(redis, 7);
          await sleep(2_000);
          await unmute(redis);
          await sleep(1_000);
        },
      },
    );
    expect(report.silent).toBeGreaterThan(0);
  });
});

describe("the checker, of an event stream", () => {
  const at = (offset: number) => ({ epoch: "e", check: String(offset), offset });
  const id = (offset: number) => `e-${offset}:${offset}`;
  const beginning = (offset: number) => ({
    isAt: (position: { offset: number }) => position.offset === offset,
    before: () => at(offset),
  });
  function begun() {
    const counts = new Counts();
    const checker = new Checker(counts);
    const claim = checker.claim("c");
    return { counts, checker, claim };
  }
  const send = (offset: number, sentAt = 5) => ({ id: id(offset), data: String(offset), sentAt });

  it("counts an event that is missing right behind the beginning", () => {
    const { counts, checker, claim } = begun();
    const stream = checker.streamSince(claim, undefined);
    stream.opened(beginning(3), 1);
    expect(claim.isConnected).toBe(true);
    stream.event(send(5), 6);
    checker.finish();
    expect([counts.silent, counts.deliveries]).toEqual([1, 1]);
  });

  it("counts what comes again behind the place where it went on from, and not what was ahead of it", () => {
    const { counts, checker, claim } = begun();
    const first = checker.streamSince(claim, undefined);
    first.opened(beginning(0), 1);
    for (const offset of [1, 2, 3]) first.event(send(offset), 6);
    const next = checker.streamSince(claim, at(2));
    next.opened(beginning(2), 7);
    next.event(send(3), 8); // the other one had it already
    expect([counts.duplicated, counts.deliveries]).toEqual([0, 3]);
    next.event(send(2), 9);
    expect(counts.duplicated).toBe(1);
    first.end(10);
    next.end(10);
    expect([claim.isConnected, counts.resumes.get("resumed")]).toEqual([false, 1]);
  });

  it("counts a stream that goes on from elsewhere as a break, and a told loss as told", () => {
    const { counts, checker, claim } = begun();
    const first = checker.streamSince(claim, undefined);
    first.opened(beginning(0), 1);
    first.event(send(1), 6);
    const next = checker.streamSince(claim, at(1));
    next.opened(beginning(2), 7);
    const last = checker.streamSince(claim, at(1));
    last.opened(beginning(1), 8);
    last.subscribed({ id: id(9), resumed: false, reason: "trimmed" }, 8);
    checker.finish();
    expect([counts.told.get("trimmed"), counts.resumes.get("trimmed")]).toEqual([1, 1]);
    expect(counts.lost).toBe(1);
  });
});
