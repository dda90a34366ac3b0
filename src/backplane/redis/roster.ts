import { RequestError } from "../../protocol/codes.ts";
import type { Attendance, Members } from "../../protocol/presence.ts";
import type { Functions } from "./functions.ts";

/**
 * As LIFE_MS of tidegate.lua. A node sweeps only when it has been in touch with Redis for as long: after an outage the
 * others look dead, until they have had the time to say that they are not.
 */
const LIFE_MS = 15_000;
/** Between two beats of a node that is in touch. */
const MAX_PAUSE_MS = 8_000;
/** Taken from dead nodes at once. Each can be an event, and Redis does nothing else meanwhile. */
const SWEEP = 100;
const SWEEP_PAUSE_MS = 20;

/**
 * Who is in which channel, in Redis (tidegate.lua says how). What this node says stands there under a name that no other
 * process has, and that counts while it is heard of. When what stands there may not be what the node knows, it takes
 * another name and says all anew: what is left under the old one is swept as if it were a dead node's, by any that lives.
 */
export class RedisRoster {
  readonly #functions: Functions;
  readonly #prefix: string;
  readonly #instance: string;
  readonly #forgotten: () => void;
  #lives = 0;
  #known = false;
  #inTouchSince = Number.POSITIVE_INFINITY;
  #heardAt = Number.NEGATIVE_INFINITY;
  #sweeping = false;

  /** @param forgotten called when all has to be said anew */
  constructor(functions: Functions, prefix: string, instance: string, forgotten: () => void) {
    this.#functions = functions;
    this.#prefix = prefix;
    this.#instance = instance;
    this.#forgotten = forgotten;
  }

  get #name(): string {
    return `${this.#instance}.${this.#lives}`;
  }

  /** @throws {RequestError} backplane_unavailable when this node was taken for dead @throws {Error} of Redis */
  async attend(attendances: readonly Attendance[]): Promise<void> {
    if (!this.#known) await this.#beat(0);
    const gone = attendances.filter(({ here }) => !here);
    const here = attendances.filter((one) => one.here);
    await this.#say("tidegate_absent", gone, ({ user }) => [user]);
    await this.#say("tidegate_present", here, ({ user, info = "" }) => [user, info]);
  }

  async #say(
    name: string,
    attendances: readonly Attendance[],
    argsOf: (attendance: Attendance) => readonly string[],
  ): Promise<void> {
    if (attendances.length === 0) return;
    const instance = this.#name;
    const keys = attendances.map(({ channel }) => this.#key(channel));
    const heard = await this.#functions.call(name, keys, [instance, ...attendances.flatMap(argsOf)]);
    if (Number(heard) === 1) return;
    this.#lost(instance);
    throw new RequestError("backplane_unavailable");
  }

  /** Says that this node lives, and lets go who was on nodes that do not. @throws {Error} of Redis */
  async beat(): Promise<void> {
    const now = performance.now();
    if (now - this.#heardAt > MAX_PAUSE_MS) this.#inTouchSince = now;
    const swept = await this.#beat(now - this.#inTouchSince > LIFE_MS ? SWEEP : 0);
    this.#heardAt = now;
    if (swept >= SWEEP) void this.#sweepOn();
  }

  /** A batch at a time, and between two of them Redis is there for others. */
  async #sweepOn(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    try {
      do await new Promise((resolve) => setTimeout(resolve, SWEEP_PAUSE_MS));
      while ((await this.#beat(SWEEP)) >= SWEEP);
    } catch {
      // Redis is away: it goes on with a later beat.
    } finally {
      this.#sweeping = false;
    }
  }

  async #beat(limit: number): Promise<number> {
    const instance = this.#name;
    const args = [this.#prefix, instance, this.#known ? 0 : 1, limit];
    const [alive, swept] = (await this.#functions.call("tidegate_beat", [], args)) as [number, number];
    if (Number(alive) !== 1) this.#lost(instance);
    else if (this.#name === instance) this.#known = true;
    return Number(swept);
  }

  /** This node was taken for dead, or Redis has lost what it had. */
  #lost(instance: string): void {
    if (this.#name !== instance) return;
    this.startOver();
    this.#forgotten();
  }

  /** Redis may hold another state than it was told. Whoever calls this sees to it that all is said anew. */
  startOver(): void {
    if (!this.#known) return;
    this.#lives++;
    this.#known = false;
  }

  /** Up to `limit` members behind a user, or from the first one on. @throws {Error} of Redis */
  async members(channel: string, after: string | undefined, limit: number): Promise<Members> {
    const args = [after ?? "", limit];
    const answer = await this.#functions.call("tidegate_members", [this.#key(channel)], args);
    const [count, ...fields] = answer as [number, ...Buffer[]];
    const members = [];
    for (let i = 0; i + 1 < fields.length; i += 2) {
      const info = fields[i + 1]?.toString();
      members.push({ user: String(fields[i]), info: info === "" ? undefined : info });
    }
    return { count: Number(count), members };
  }

  #key(channel: string): string {
    return `${this.#prefix}:${channel}`;
  }
}
