import type { Redis } from "ioredis";
import { type BackplaneEvents, checkRevocations, forgetEnded, MAX_REVOCATIONS } from "../backplane.ts";

/** In one command. */
const BATCH = 1_000;

/**
 * What was revoked, for every node, also one that was away or starts later: kept in a sorted set (revocation → when it
 * may be forgotten), and told to those who are there. A Redis that comes back empty is told again by the nodes.
 */
export class RevocationLog {
  /** Of the Redis channel, and of the key. */
  readonly name: string;
  readonly #redis: Redis;
  readonly #hear: BackplaneEvents["revoked"];
  /** Revocation → until. */
  readonly #known = new Map<string, number>();

  constructor(name: string, redis: Redis, hear: BackplaneEvents["revoked"]) {
    this.name = name;
    this.#redis = redis;
    this.#hear = hear;
  }

  /** @throws {RequestError} too_many_revocations @throws {Error} of Redis */
  async add(revocation: string, until: number): Promise<void> {
    // By the clock of Redis: a node whose own is ahead must not take back what others count on.
    const [seconds] = await this.#redis.time();
    await this.#redis.zremrangebyscore(this.name, "-inf", Number(seconds) * 1000);
    checkRevocations(await this.#redis.zcard(this.name));
    // Kept first: a node that connects in between reads what it could not hear. The same again: kept for longer.
    await this.#redis.zadd(this.name, "GT", until, revocation);
    await this.#redis.publish(this.name, message(revocation, until));
  }

  /** All that are kept. By a scan: none is passed over, whatever is added or ends meanwhile. */
  async catchUp(): Promise<void> {
    const kept = new Set<string>();
    let cursor = "0";
    do {
      const [next, found] = await this.#redis.zscan(this.name, cursor, "COUNT", BATCH);
      for (let i = 0; i < found.length; i += 2) {
        const [revocation = "", until] = found.slice(i, i + 2);
        kept.add(revocation);
        this.#learn(revocation, Number(until));
      }
      cursor = next;
    } while (cursor !== "0");
    await this.#remind(kept);
  }

  receive(payload: Buffer): void {
    const [, until, revocation] = /^(\d{1,16}) (.+)$/s.exec(payload.toString()) ?? [];
    if (until !== undefined && revocation !== undefined) this.#learn(revocation, Number(until));
  }

  /** What is known already is not told again: every session would be looked at for it. */
  #learn(revocation: string, until: number): void {
    if (until <= Date.now() || until <= (this.#known.get(revocation) ?? 0)) return;
    if (this.#known.size >= MAX_REVOCATIONS) forgetEnded(this.#known);
    if (this.#known.size < MAX_REVOCATIONS || this.#known.has(revocation)) this.#known.set(revocation, until);
    this.#hear(revocation, until);
  }

  /** What this node knows and Redis does not: Redis lost it, and other nodes may have read it empty. */
  async #remind(kept: ReadonlySet<string>): Promise<void> {
    forgetEnded(this.#known);
    const lost = [...this.#known].filter(([revocation]) => !kept.has(revocation));
    for (let i = 0; i < lost.length; i += BATCH) {
      const batch = lost.slice(i, i + BATCH);
      await this.#redis.zadd(this.name, "GT", ...batch.flatMap(([revocation, until]) => [until, revocation]));
      await Promise.all(batch.map((entry) => this.#redis.publish(this.name, message(...entry))));
    }
  }
}

function message(revocation: string, until: number): string {
  return `${until} ${revocation}`;
}
