import { Redis } from "ioredis";
import { LIBRARY } from "../../src/backplane/redis/functions.ts";
import type { RedisServer, Stage } from "./servers.ts";

const SENDING = "redis.call('PUBLISH', name.topic, envelope)";

/** The function library of a Redis that keeps every event, but does not send those for which the Lua expression is true. */
function libraryThatDrops(condition: string): string {
  if (LIBRARY.split(SENDING).length !== 2) throw new Error(`the library has not once: ${SENDING}`);
  return LIBRARY.replace(SENDING, `((${condition}) and 0 or ${SENDING})`);
}

async function load(redis: RedisServer, library: string): Promise<void> {
  await redis.cli("FUNCTION", "LOAD", "REPLACE", library);
}

/** Every so manieth event of each channel is kept, but not sent to anybody, as if pub/sub had lost it. */
export function losePublishes(redis: RedisServer, every: number): Promise<void> {
  return load(redis, libraryThatDrops(`offset and offset % ${every} == 0`));
}

/** No event is sent to anybody, until `unmute`. */
export function mute(redis: RedisServer): Promise<void> {
  return load(redis, libraryThatDrops("true"));
}

export function unmute(redis: RedisServer): Promise<void> {
  return load(redis, LIBRARY);
}

/** All that Redis has of the channels' histories, to go back to. @returns goes back */
export async function snapshot(stage: Stage, redis: RedisServer): Promise<() => Promise<void>> {
  const client = new Redis(redis.url);
  stage.add({ stop: () => client.disconnect() });
  const keys = [...(await client.keys("tidegate.meta:*")), ...(await client.keys("tidegate.log:*"))];
  const reading = client.multi();
  for (const key of keys) reading.dumpBuffer(key);
  const dumps = (await reading.exec())?.map(([, dump]) => dump as Buffer) ?? [];
  return async () => {
    const restoring = client.multi();
    for (const [i, key] of keys.entries()) restoring.restore(key, 0, dumps[i] as Buffer, "REPLACE");
    await restoring.exec();
  };
}

/** Every so manieth event that is sent to the nodes is sent once more, a moment later. @returns how many there were */
export async function repeatPublishes(
  stage: Stage,
  redis: RedisServer,
  every: number,
): Promise<() => number> {
  const listener = new Redis(redis.url);
  const sender = new Redis(redis.url);
  stage.add({ stop: () => listener.disconnect() });
  stage.add({ stop: () => sender.disconnect() });
  let heard = 0;
  let repeated = 0;
  listener.on("pmessageBuffer", (_pattern: Buffer, channel: Buffer, envelope: Buffer) => {
    if (repeatedBefore.delete(envelope.toString("latin1")) || ++heard % every !== 0) return;
    repeatedBefore.add(envelope.toString("latin1"));
    repeated++;
    void sender.publish(channel.toString(), envelope);
  });
  const repeatedBefore = new Set<string>();
  await listener.psubscribe("tidegate!*");
  return () => repeated;
}
