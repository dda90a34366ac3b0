import { Redis } from "ioredis";
import type { Logger } from "pino";
import type { Keeps, Page } from "../../hub/feed.ts";
import type { ChannelCount, ChannelsQuery } from "../../protocol/audience.ts";
import { RequestError } from "../../protocol/codes.ts";
import type { Position } from "../../protocol/position.ts";
import type { Attendance, Members } from "../../protocol/presence.ts";
import type { Publication, Published } from "../../protocol/publication.ts";
import type { Backplane, BackplaneEvents } from "../backplane.ts";
import { type HistoryRule, historyOf } from "../history.ts";
import { RedisAudience } from "./audience.ts";
import { RedisCensus } from "./census.ts";
import { unseal } from "./envelope.ts";
import { Functions, RedisTooOld } from "./functions.ts";
import { HistoryLog } from "./history-log.ts";
import { eventOfPlain } from "./plain.ts";
import { Probe } from "./probe.ts";
import type { RedisAddress } from "./redis-url.ts";
import { RevocationLog } from "./revocation-log.ts";
import { RedisRoster } from "./roster.ts";
import { Subscriptions } from "./subscriptions.ts";

export interface RedisBackplaneOptions {
  readonly address: RedisAddress;
  /** Begins the name of every Redis channel: pub/sub ignores the database number. */
  readonly prefix: string;
  readonly node: string;
  /** The node's name, and something that no other process has, be it its own next one. */
  readonly instance: string;
  readonly maxEventBytes: number;
  readonly history: readonly HistoryRule[];
  /** Whether any channel has presence. */
  readonly presence?: boolean;
  readonly log: Logger;
  readonly events: BackplaneEvents;
  /** This Redis can never work, whatever time passes. */
  onFatal(error: Error): void;
}

/** A Redis that has not answered a command by then is away. */
const COMMAND_TIMEOUT_MS = 2_000;
const MAX_RETRY_MS = 2_000;
/** Different errors that one outage may log. */
const MAX_PROBLEMS = 20;

/**
 * Redis pub/sub. A channel is two Redis channels: `prefix:name`, where any Redis client may `PUBLISH`, and
 * `prefix!name` for our own events, so that no plain payload can pass for a framed one and an ACL can tell
 * publishers apart. What is internal begins `prefix.`, which no channel name reaches.
 */
export class RedisBackplane implements Backplane {
  downSince: number | undefined = Number.NEGATIVE_INFINITY;
  readonly #options: RedisBackplaneOptions;
  readonly #commands: Redis;
  readonly #subscriber: Redis;
  readonly #subscriptions: Subscriptions;
  readonly #probe: Probe;
  readonly #revocations: RevocationLog;
  readonly #census: RedisCensus;
  readonly #history: HistoryLog;
  readonly #roster: RedisRoster;
  readonly #audience: RedisAudience;
  /** What was logged of the present outage: attempts repeat, and two connections fail in turn. */
  readonly #problems = new Set<string>();
  #closed = false;
  /** All that is wanted is subscribed on the present connection. */
  #renewed = false;
  /** What was revoked before this connection is read. */
  #caughtUp = false;
  #catchingUp = false;
  /** Times that a connection broke. */
  #breaks = 0;
  knowsRevocations = false;
  connects = 0;

  constructor(options: RedisBackplaneOptions) {
    this.#options = options;
    this.#commands = this.#connection("commands");
    this.#subscriber = this.#connection("subscriber");
    this.#subscriptions = new Subscriptions(this.#subscriber, (channel) => [
      `${options.prefix}:${channel}`,
      `${options.prefix}!${channel}`,
    ]);
    const { prefix, node, events } = options;
    this.#revocations = new RevocationLog(`${prefix}.revocations`, this.#commands, events.revoked);
    this.#census = new RedisCensus(this.#commands, prefix, options.instance, events.forgotten);
    const functions = new Functions(this.#commands);
    this.#roster = new RedisRoster(functions, prefix, options.instance, events.forgotten);
    this.#audience = new RedisAudience(functions, prefix, options.instance);
    this.#history = new HistoryLog(functions, {
      prefix,
      rules: options.history,
      maxEventBytes: options.maxEventBytes,
    });
    this.#probe = new Probe(`${prefix}.probe.${node}`, this.#commands, this.#subscriber, {
      heard: () => void this.#heard(),
      silent: () => {
        this.#renewed = false;
        this.#turn(false);
      },
    });
    this.#subscriber.on("ready", () => void this.#resume());
    this.#subscriber.on("messageBuffer", (channel: Buffer, payload: Buffer) =>
      this.#receive(channel, payload),
    );
    this.#commands.on("ready", () => {
      this.#probe.send();
      void this.#refuseCluster();
    });
  }

  /** Where it is told whose history was deleted. */
  get #forgotten(): string {
    return `${this.#options.prefix}.forgotten`;
  }

  get probeMs(): number {
    return this.#probe.roundTripMs;
  }

  start(): void {
    this.#probe.start();
    for (const redis of [this.#commands, this.#subscriber]) connect(redis);
  }

  async subscribe(channel: string): Promise<void> {
    await this.#orUnavailable(this.#subscriptions.add(channel));
  }

  unsubscribe(channel: string): void {
    this.#subscriptions.remove(channel);
  }

  async publish(event: Publication): Promise<Published> {
    return await this.#orUnavailable(this.#history.publish(event));
  }

  keeps(channel: string): Keeps | undefined {
    return historyOf(this.#options.history, channel);
  }

  async head(channel: string): Promise<Position | undefined> {
    return await this.#orUnavailable(this.#history.head(channel));
  }

  async fork(channel: string, lost: Position): Promise<Position | undefined> {
    return await this.#orUnavailable(this.#history.fork(channel, lost));
  }

  async readAfter(channel: string, offset: number, limit: number): Promise<Page> {
    return await this.#orUnavailable(this.#history.readAfter(channel, offset, limit));
  }

  async readBefore(channel: string, offset: number, limit: number): Promise<Page> {
    return await this.#orUnavailable(this.#history.readBefore(channel, offset, limit));
  }

  async revoke(revocation: string, until: number): Promise<void> {
    return await this.#orUnavailable(this.#revocations.add(revocation, until));
  }

  async countConnections(counts: readonly (readonly [string, number])[]): Promise<readonly number[]> {
    return await this.#orUnavailable(this.#census.report(counts));
  }

  async connectionsOf(user: string): Promise<ReadonlyMap<string, number>> {
    return await this.#orUnavailable(this.#census.of(user));
  }

  async attend(attendances: readonly Attendance[]): Promise<void> {
    return await this.#orUnavailable(this.#roster.attend(attendances));
  }

  async members(channel: string, after: string | undefined, limit: number): Promise<Members> {
    return await this.#orUnavailable(this.#roster.members(channel, after, limit));
  }

  async forget(channel: string): Promise<Position | undefined> {
    return await this.#orUnavailable(this.#history.forget(channel));
  }

  async countSubscribers(counts: readonly (readonly [string, number])[]): Promise<void> {
    return await this.#orUnavailable(this.#audience.report(counts));
  }

  async channels(query: ChannelsQuery): Promise<readonly ChannelCount[]> {
    return await this.#orUnavailable(this.#audience.page(query));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#probe.stop();
    await this.#census.leave().catch(() => {}); // Redis is away: it forgets the node by itself
    this.#subscriber.disconnect();
    this.#commands.disconnect();
  }

  #connection(role: string): Redis {
    const { address, node, prefix } = this.#options;
    const redis = new Redis({
      ...address,
      connectionName: `${prefix}-${role}-${node}`,
      lazyConnect: true,
      connectTimeout: COMMAND_TIMEOUT_MS,
      commandTimeout: COMMAND_TIMEOUT_MS,
      sentinelCommandTimeout: COMMAND_TIMEOUT_MS,
      // A publish that waits for better times fires late or is lost with the process: it fails now instead.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      // Ours comes in batches, and knows what the hub wants by then.
      autoResubscribe: false,
      retryStrategy,
      sentinelRetryStrategy: retryStrategy,
      // A demoted master keeps its connections, and would keep us: leave it when Sentinel says so.
      failoverDetector: address.sentinels !== undefined,
    });
    redis.on("error", (error: Error) => this.#report(role, error));
    redis.on("close", () => {
      this.#breaks++;
      this.#turn(false);
    });
    // ioredis gives up for good on some errors (a Sentinel that changes its mind in the middle of a connect): we never.
    redis.on("end", () => {
      if (!this.#closed) setTimeout(() => connect(redis), retryStrategy(1));
    });
    return redis;
  }

  async #resume(): Promise<void> {
    this.#renewed = false;
    this.#caughtUp = false;
    try {
      await this.#probe.subscribe();
      await this.#subscriber.subscribe(this.#revocations.name, this.#forgotten);
      await this.#subscriptions.renew();
      this.#renewed = true;
      this.#probe.send();
      if (++this.connects > 1) this.#options.events.interrupted();
    } catch (error) {
      this.#report("subscriber", error as Error);
      this.#subscriber.disconnect(true); // half subscribed is not subscribed
    }
  }

  /** Events travel both ways. The node is up when, beyond that, nothing of the time before is missing. */
  async #heard(): Promise<void> {
    if (!this.#renewed || this.#catchingUp) return;
    this.#catchingUp = true;
    const breaks = this.#breaks;
    try {
      await this.#history.hello(this.downSince !== undefined);
      await this.#census.alive();
      if (this.downSince !== undefined) this.#roster.startOver();
      if (this.#options.presence) await this.#roster.beat();
      if (!this.#caughtUp) await this.#revocations.catchUp();
      if (breaks !== this.#breaks) return;
      this.#caughtUp = true;
      this.knowsRevocations = true;
      // A report may have been lost on the way, and its answer too.
      if (this.downSince !== undefined) this.#options.events.forgotten();
      this.#turn(true);
    } catch (error) {
      if (error instanceof RedisTooOld) this.#options.onFatal(error);
      this.#report("commands", error as Error);
      // A master that was demoted, and keeps its connections: Sentinel is asked anew who is.
      if ((error as Error).message.startsWith("READONLY")) this.#probe.restart();
    } finally {
      this.#catchingUp = false;
    }
  }

  /** Called for every message: Buffers in, no decoding of what we published ourselves. */
  #receive(redisChannel: Buffer, payload: Buffer): void {
    const { prefix, events, maxEventBytes } = this.#options;
    const kind = redisChannel[prefix.length];
    if (kind === DOT) return this.#receiveInternal(redisChannel, payload);
    const channel = redisChannel.toString("latin1", prefix.length + 1);
    if (payload.length > maxEventBytes + (kind === BANG ? FRAME_OVERHEAD : 0))
      return events.refused("too_big", channel);
    if (kind === BANG) {
      const event = unseal(channel, payload);
      if (event) events.event(event, "framed");
      else events.refused("bad_envelope", channel);
    } else {
      events.event(eventOfPlain(channel, payload), "plain");
    }
  }

  #receiveInternal(redisChannel: Buffer, payload: Buffer): void {
    const name = redisChannel.toString("latin1");
    if (name === this.#revocations.name) this.#revocations.receive(payload);
    else if (name === this.#forgotten) this.#options.events.historyForgotten(payload.toString("latin1"));
    else this.#probe.receive(payload);
  }

  #turn(up: boolean): void {
    if (up === (this.downSince === undefined)) return;
    // Since it was last heard, and not since that was noticed: a black hole takes a while to see.
    this.downSince = up ? undefined : this.#probe.heardAt;
    if (up) {
      this.#problems.clear();
      this.#options.log.info("the backplane is up");
    } else {
      this.#options.log.warn("the backplane is down: sockets stay, publishes fail, it reconnects");
    }
  }

  /** Once per kind of problem and outage. The error's `command` is never logged: it holds the password. */
  #report(role: string, error: Error): void {
    // Of a host with several addresses ioredis gives an AggregateError, whose message is empty.
    const message = error.message || (error as NodeJS.ErrnoException).code || error.name;
    const kind = message.replaceAll(/[\d.]+/g, "#"); // ioredis writes into some how long it will wait
    if (this.#problems.has(kind) || this.#problems.size >= MAX_PROBLEMS) return;
    this.#problems.add(kind);
    this.#options.log.error({ role, reason: message }, "Redis (TIDEGATE_REDIS_URL)");
  }

  async #orUnavailable<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      throw this.#unavailable(error);
    }
  }

  #unavailable(error: unknown): RequestError {
    if (error instanceof RequestError) return error;
    if (error instanceof Error && error.message.startsWith("NOPERM")) this.#report("acl", error);
    return new RequestError("backplane_unavailable");
  }

  /**
   * A plain PUBLISH does not reach sharded subscribers, and a Function cannot cross slots: half of what is promised
   * would be silently missing on a Cluster.
   */
  async #refuseCluster(): Promise<void> {
    const info = await this.#commands.info("cluster").catch(() => ""); // an ACL may forbid it
    if (!info.includes("cluster_enabled:1")) return;
    this.#options.onFatal(
      new Error(
        "TIDEGATE_REDIS_URL is a Redis Cluster, which is not supported: use a single Redis or Sentinel (docs: README, Redis)",
      ),
    );
  }
}

const DOT = 0x2e;
const BANG = 0x21;
/** What an event's envelope adds to its data: header, names, sender. */
const FRAME_OVERHEAD = 2_048;

/** What goes wrong arrives as an "error" event too. */
function connect(redis: Redis): void {
  redis.connect().catch(() => {});
}

/** Exponential with full jitter, so that a fleet does not come back as one. */
function retryStrategy(attempt: number): number {
  return 50 + Math.random() * Math.min(MAX_RETRY_MS, 50 * 2 ** Math.min(attempt, 10));
}
