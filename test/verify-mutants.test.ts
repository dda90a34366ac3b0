import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { VerifyOptions } from "../src/verify/options.ts";
import type { Report } from "../src/verify/report.ts";
import { type Mutation, mutate, startMutant } from "./support/mutant.ts";
import { losePublishes, mute, repeatPublishes, snapshot, unmute } from "./support/redis-faults.ts";
import { type RedisServer, type Stage, test } from "./support/servers.ts";
import { expectKept, runVerify } from "./support/verify.ts";

/*
 * Does the checker see anything? Each check is taken out of a copy of the gateway in turn, and a fault is put in that
 * needs it: verify must fail then, and must not with the check in its place.
 */

/** Until each channel has had an event more: that something is missing shows when the next one comes. */
const ONE_MORE_MS = 1_000;
const TIMEOUT_MS = 60_000;

interface Check {
  readonly name: string;
  readonly mutation: Mutation;
  readonly fault: string;
  readonly options?: Partial<VerifyOptions>;
  inject?(stage: Stage, redis: RedisServer): Promise<void>;
  /** What is counted when the check is out. */
  readonly counted: readonly (keyof Report)[];
}

const CHECKS: readonly Check[] = [
  {
    name: "gaps are seen",
    mutation: {
      file: "hub/channel.js",
      from: "if (follows(event, this.position))",
      to: "if (true)",
    },
    fault: "pub/sub loses every seventh event",
    inject: async (_, redis) => {
      await losePublishes(redis, 7);
      await sleep(2_500);
      await unmute(redis);
      await sleep(ONE_MORE_MS);
    },
    counted: ["silent"],
  },
  {
    name: "an interruption is followed up",
    mutation: { file: "hub/hub.js", from: "void next.value.interrupted();", to: "" },
    fault: "pub/sub loses the last events, and then its connection",
    options: { durationMs: 2_000, reconnectMs: 0 },
    inject: async (_, redis) => {
      await sleep(1_500);
      await mute(redis);
      await sleep(1_000);
      await redis.cli("CLIENT", "KILL", "TYPE", "pubsub");
    },
    counted: ["silent"],
  },
  {
    name: "what was delivered is not delivered again",
    mutation: {
      file: "hub/channel.js",
      from: "if (this.#isKnown(event.position, this.position))",
      to: "if (this.#isKnown(event.position, this.position)) this.#broadcast(event); else if (false)",
    },
    fault: "every seventh event is sent twice",
    inject: async (stage, redis) => {
      const repeated = await repeatPublishes(stage, redis, 7);
      await sleep(3_000);
      expect(repeated()).toBeGreaterThan(10);
    },
    counted: ["duplicated"],
  },
  {
    name: "all that was missed comes before what is live",
    mutation: {
      file: "session/replay.js",
      from: "if (position && samePosition(this.#at, position))",
      to: "if (position)",
    },
    fault: "clients are away for more than they get in one go",
    options: { rate: 400, channels: 1, channelsPerClient: 1, clients: 10, awayMs: 1_500 },
    counted: ["silent"],
  },
  {
    name: "checks are compared",
    mutation: {
      file: "hub/continuity.js",
      from: "event.previous === position.check &&",
      to: "",
    },
    fault: "Redis goes back in time while nobody listens, and grows past where it was",
    options: { channels: 2, channelsPerClient: 2, clients: 10, reconnectMs: 0, allowTold: true, via: "http" },
    inject: async (stage, redis) => {
      await sleep(1_000);
      const goBack = await snapshot(stage, redis);
      await sleep(300);
      await mute(redis);
      await goBack();
      await sleep(1_200);
      await unmute(redis);
      await sleep(ONE_MORE_MS);
    },
    counted: ["silent", "conflicting"],
  },
  {
    name: "a grant is needed to resume",
    mutation: {
      file: "session/conversation.js",
      from: 'const authorised = () => this.#session.authorise("subscribe", channel);',
      to: 'const authorised = () => start || this.#session.authorise("subscribe", channel);',
    },
    fault: "somebody knows an id",
    counted: ["unauthorised"],
  },
  {
    name: "a grant is needed to read the history",
    mutation: {
      file: "session/history.js",
      from: 'authorise(identity, "history", channel, this.#rules);',
      to: "",
    },
    fault: "somebody knows an id",
    counted: ["unauthorised"],
  },
  {
    name: "what one connection publishes is carried out in the order sent",
    mutation: {
      file: "session/channel-order.js",
      from: "(before ? before.then(work) : work())",
      to: "new Promise((go) => setTimeout(go, Math.random() * 20)).then(work)",
    },
    fault: "events are sent before those in front of them are answered",
    counted: ["reordered"],
  },
];

async function verdict(stage: Stage, check: Check, mutations: readonly Mutation[]): Promise<Report> {
  const redis = await stage.redis();
  const node = await startMutant(stage, redis, mutations);
  const options = { settleMs: 3_000, ...check.options };
  return runVerify(node.url, options, { onStarted: () => check.inject?.(stage, redis) });
}

describe.each(CHECKS)("that $name", (check) => {
  test.concurrent(`is kept, although ${check.fault}`, { timeout: TIMEOUT_MS }, async ({ stage }) => {
    expectKept(await verdict(stage, check, []));
  });

  test.concurrent(`is missed, when it is taken out and ${check.fault}`, { timeout: TIMEOUT_MS }, async ({
    stage,
  }) => {
    const report = await verdict(stage, check, [check.mutation]);
    expect(report.ok).toBe(false);
    const seen = check.counted.filter((what) => Number(report[what]) > 0);
    expect(seen, JSON.stringify(report)).not.toEqual([]);
  });
});

it("a mutation whose place is not there exactly once says so", () => {
  const mutation = { file: "x.js", from: "a", to: "b" };
  expect(mutate("xay", mutation)).toBe("xby");
  expect(() => mutate("aa", mutation)).toThrow("dist/x.js has 2 times, not once: a");
  expect(() => mutate("", mutation)).toThrow("0 times");
});
