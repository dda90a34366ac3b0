import type { Redis } from "ioredis";

/** A node that was not heard of for this long is gone, and its connections with it. */
const NODE_TIMEOUT_MS = 15_000;
/** Of a user nobody reports any more; nodes report each of theirs every hour. */
const USER_TIMEOUT_S = 3 * 3_600;

/**
 * KEYS: the nodes (sorted set: node → when heard of last), then each user's counts (hash: node → connections).
 * ARGV: this node, then each user's count here. The answer: whether the node was not known,
 * then each user's count in all.
 */
const REPORT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local fresh = redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ${NODE_TIMEOUT_MS})
local answer = {fresh}
for i = 2, #KEYS do
  if ARGV[i] == '0' then
    redis.call('HDEL', KEYS[i], ARGV[1])
  else
    redis.call('HSET', KEYS[i], ARGV[1], ARGV[i])
    redis.call('EXPIRE', KEYS[i], ${USER_TIMEOUT_S})
  end
  local counts = redis.call('HGETALL', KEYS[i])
  local total = 0
  for j = 1, #counts, 2 do
    if redis.call('ZSCORE', KEYS[1], counts[j]) then
      total = total + tonumber(counts[j + 1])
    else
      redis.call('HDEL', KEYS[i], counts[j])
    end
  end
  answer[i] = total
end
return answer`;

/** How many connections each user has, over all nodes that live. */
export class RedisCensus {
  readonly #redis: Redis & { tidegateReport?(...args: (string | number)[]): Promise<number[]> };
  readonly #prefix: string;
  readonly #node: string;
  readonly #forgotten: () => void;

  /**
   * @param node its name, `:`, and what no other process has: what a dead one had is forgotten, also if it is back
   * @param forgotten called when this one was taken for dead, as after a long pause
   */
  constructor(redis: Redis, prefix: string, node: string, forgotten: () => void) {
    redis.defineCommand("tidegateReport", { lua: REPORT });
    this.#redis = redis;
    this.#prefix = prefix;
    this.#node = node;
    this.#forgotten = forgotten;
  }

  async report(counts: readonly (readonly [string, number])[]): Promise<readonly number[]> {
    const keys = [`${this.#prefix}.nodes`, ...counts.map(([user]) => `${this.#prefix}.user:${user}`)];
    const values = [this.#node, ...counts.map(([, count]) => String(count))];
    const [fresh, ...totals] = (await this.#redis.tidegateReport?.(keys.length, ...keys, ...values)) ?? [];
    if (fresh === 1) this.#forgotten();
    return totals;
  }

  /** Nothing but that this node lives. */
  async alive(): Promise<void> {
    await this.report([]);
  }

  /** The connections of this node count no more. */
  async leave(): Promise<void> {
    await this.#redis.zrem(`${this.#prefix}.nodes`, this.#node);
  }

  /** @returns the name of each node → connections */
  async of(user: string): Promise<ReadonlyMap<string, number>> {
    const [counts, living] = await Promise.all([
      this.#redis.hgetall(`${this.#prefix}.user:${user}`),
      this.#redis.zrange(`${this.#prefix}.nodes`, "0", "-1"),
    ]);
    const found = new Map<string, number>();
    for (const [instance, count] of Object.entries(counts)) {
      if (!living.includes(instance)) continue;
      const node = instance.slice(0, instance.lastIndexOf(":"));
      found.set(node, (found.get(node) ?? 0) + Number(count));
    }
    return found;
  }
}
