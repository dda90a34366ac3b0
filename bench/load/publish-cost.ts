import { Redis } from "ioredis";
import { channelName, eventData, FIRST_NUMBER } from "./events.ts";
import type { PublishCostJob, PublishWay } from "./job.ts";
import { machineBusyMicros } from "./proc.ts";
import { RedisSocket } from "./redis-socket.ts";
import { redisCommand } from "./resp.ts";
import type { PublishCostResult } from "./result.ts";

/** Each way's share of a round; short, so that what disturbs the machine disturbs all three alike. */
const SLICE_MS = 250;
/** From the first round on, events are trimmed as fast as they come. */
const KEPT = 1_000;

const key = `tidegate:${channelName(0)}`;
const WAYS: Record<PublishWay, { command(data: string): string; replyLines: number }> = {
  plain: { command: (data) => redisCommand("PUBLISH", key, data), replyLines: 1 },
  // As a node sends it: type, data, kind, sender, the connection that must not hear it, idempotency key, whose key.
  append: {
    command: (data) =>
      redisCommand("FCALL", "tidegate_append", "1", key, "message", data, "t", "", "", "", ""),
    replyLines: 5,
  },
  publish: {
    command: (data) => redisCommand("FCALL", "tidegate_publish", "1", key, "", data),
    replyLines: 2,
  },
};
const ORDER = ["plain", "append", "publish"] as const;

/**
 * Publishes in three ways by turns, always with `depth` calls under way, and measures Redis's CPU per call. The
 * subscribers are bare connections that do with what they get nothing at all.
 */
export async function runPublishCost(
  job: PublishCostJob,
  ready: () => Promise<void>,
): Promise<PublishCostResult> {
  const { redisPort, subscribers, warmupMs, windowMs, depth } = job;
  const admin = new Redis({ port: redisPort, host: "127.0.0.1" });
  const publisher = new RedisSocket(redisPort);
  // A node listens to both: plain publications come on the one, those with history on the other.
  const topics = [key, `tidegate!${channelName(0)}`];
  const listeners = Array.from({ length: subscribers }, () => new RedisSocket(redisPort));
  await Promise.all(
    listeners.map((listener) => listener.ask(redisCommand("SUBSCRIBE", ...topics), topics.length * 6)),
  );
  await ready();

  const costs = { plain: nothing(), append: nothing(), publish: nothing() };
  let number = FIRST_NUMBER;
  const slice = async (way: PublishWay, ms: number, least = 0): Promise<void> => {
    const { command, replyLines } = WAYS[way];
    const before = await redisMicros(admin);
    const startMs = performance.now();
    let calls = 0;
    while (performance.now() - startMs < ms || calls < least) {
      let commands = "";
      for (let place = 0; place < depth; place++) commands += command(eventData(number++));
      await publisher.ask(commands, replyLines * depth);
      calls += depth;
    }
    const seconds = (performance.now() - startMs) / 1000;
    const micros = (await redisMicros(admin)) - before;
    const cost = costs[way];
    costs[way] = {
      calls: cost.calls + calls,
      seconds: cost.seconds + seconds,
      redisMicros: cost.redisMicros + micros,
    };
  };

  for (const way of ORDER) await slice(way, warmupMs / ORDER.length, KEPT);
  for (const way of ORDER) costs[way] = nothing();
  const foreignBefore = await foreignMicros(admin);
  const startMs = performance.now();
  for (let round = 0; round * SLICE_MS < windowMs; round++) {
    for (const way of round % 2 === 0 ? ORDER : [...ORDER].reverse()) await slice(way, SLICE_MS);
  }
  const foreignBusy = ((await foreignMicros(admin)) - foreignBefore) / (performance.now() - startMs) / 1000;
  for (const socket of [publisher, ...listeners]) socket.close();
  admin.disconnect();
  return { ...costs, foreignBusy: Math.max(0, foreignBusy) };
}

const nothing = () => ({ calls: 0, seconds: 0, redisMicros: 0 });

/** CPU time of Redis so far, to the microsecond: its own account, where /proc counts in ticks of 10 ms. */
async function redisMicros(admin: Redis): Promise<number> {
  const info = await admin.info("cpu");
  const seconds = (name: string): number => Number(new RegExp(`^${name}:(\\S+)`, "m").exec(info)?.[1]);
  return (seconds("used_cpu_user") + seconds("used_cpu_sys")) * 1e6;
}

/** CPU time of whoever is neither Redis nor us. */
async function foreignMicros(admin: Redis): Promise<number> {
  const { user, system } = process.cpuUsage();
  return machineBusyMicros() - user - system - (await redisMicros(admin));
}
