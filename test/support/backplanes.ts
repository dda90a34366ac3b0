import { pino } from "pino";
import { afterEach, beforeAll, expect } from "vitest";
import { until } from "../../deploy/local/process.ts";
import type { Backplane, BackplaneEvents } from "../../src/backplane/backplane.ts";
import type { HistoryRule } from "../../src/backplane/history.ts";
import { MemoryBackplane } from "../../src/backplane/memory.ts";
import { RedisBackplane } from "../../src/backplane/redis/redis.ts";
import { parseRedisUrl } from "../../src/backplane/redis/redis-url.ts";
import { history } from "../../src/config/kinds.ts";
import type { EncodedEvent } from "../../src/hub/encoded-event.ts";
import { type Position, parseId } from "../../src/protocol/position.ts";
import type { Publication, Published } from "../../src/protocol/publication.ts";
import { type RedisServer, type Stage, sharedStage } from "./servers.ts";

/** A backplane, and everything that it handed in. */
export interface Ear {
  revocations: [string, number][];
  backplane: Backplane;
  heard: EncodedEvent[];
  interruptions: number;
}

/** What channels keep here: one kind of each. */
export const RULES = history.read(
  '{"*":{"size":5000,"time":"10m"},"few-*":{"size":5,"time":"10m"},"brief-*":{"size":5000,"time":"1s"},"none-*":"off"}',
);

/** Those with the same name hear each other. */
export type Make = (of: string, rules?: readonly HistoryRule[]) => Promise<Ear>;

/** Redis as some give it: without functions. */
export const NO_FUNCTIONS = ['rename-command FUNCTION ""', 'rename-command FCALL ""'];

const open: Backplane[] = [];

function ear(make: (events: BackplaneEvents) => Backplane): Ear {
  const heard: EncodedEvent[] = [];
  const made = {
    heard,
    interruptions: 0,
    revocations: [] as [string, number][],
    backplane: make({
      event: (event) => void heard.push(event),
      refused: (reason) => expect.unreachable(`refused a payload: ${reason}`),
      interrupted: () => void made.interruptions++,
      revoked: (revocation, until) => void made.revocations.push([revocation, until]),
      historyForgotten: () => {},
      forgotten: () => {},
    }),
  };
  open.push(made.backplane);
  made.backplane.start();
  return made;
}

const memory: Make = async (_of, rules = RULES) =>
  ear((events) => new MemoryBackplane("node1", rules, events));

export const overRedis =
  (server: () => RedisServer): Make =>
  async (of, rules = RULES) => {
    const made = ear(
      (events) =>
        new RedisBackplane({
          address: parseRedisUrl(server().url),
          prefix: of,
          node: `node${open.length}`,
          instance: `node${open.length}:${of}`,
          maxEventBytes: 65_536,
          history: rules,
          log: pino({ level: "silent" }),
          events,
          onFatal: (error) => expect.unreachable(error.message),
        }),
    );
    await until("the backplane is up", () => made.backplane.downSince === undefined);
    return made;
  };

/** The backplanes of a test file, closed after each test, and the Redis servers behind them. */
export function backplanes() {
  const stage: Stage = sharedStage();
  let redis: RedisServer;
  let plain: RedisServer;
  beforeAll(async () => {
    redis = await stage.redis();
    plain = await stage.redis({ config: NO_FUNCTIONS });
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((backplane) => backplane.close()));
  });
  return {
    redis: () => redis,
    all: [
      { name: "memory", make: memory },
      { name: "redis", make: overRedis(() => redis) },
      { name: "redis by scripts", make: overRedis(() => plain) },
    ],
  };
}

let prefixes = 0;

/** Of a test alone. */
export function freshPrefix(): string {
  return `test${++prefixes}`;
}

export function event(
  channel: string,
  data: string | Uint8Array,
  more: Partial<Publication> = {},
): Publication {
  return { channel, type: "message", data, sender: undefined, except: undefined, key: undefined, ...more };
}

export function textOf({ text }: EncodedEvent): string {
  return Buffer.from(text).toString();
}

export function dataOf(heard: readonly EncodedEvent[]): unknown[] {
  return heard.map((one) => (JSON.parse(textOf(one)) as { data: unknown }).data);
}

let settled = 0;

/** Resolves when every event that was published before has come in. */
export async function settle({ backplane, heard }: Ear): Promise<void> {
  const channel = `settled-${++settled}`;
  await backplane.subscribe(channel);
  await backplane.publish(event(channel, "0"));
  await until("all events came in", () => heard.at(-1)?.channel === channel);
  heard.pop();
  backplane.unsubscribe(channel);
}

/** Publishes so many events, whose data are 1, 2, 3 and so on. */
export async function publish({ backplane }: Ear, channel: string, count: number): Promise<Published[]> {
  const numbers = Array.from({ length: count }, (_, i) => String(i + 1));
  return await Promise.all(numbers.map((data) => backplane.publish(event(channel, data))));
}

export function positionOf(published: Published | undefined): Position {
  return parseId(published?.id) as Position;
}

export function offsetsOf(events: readonly EncodedEvent[]): unknown[] {
  return events.map(({ position }) => position?.offset);
}

export async function headOf({ backplane }: Ear, channel: string): Promise<Position> {
  return (await backplane.head(channel)) as Position;
}
