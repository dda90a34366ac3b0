import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Checker } from "./checker.ts";
import type { Claim } from "./claim.ts";
import type { Counts } from "./counts.ts";
import { Follower, Reconnects } from "./follower.ts";
import { CouldNotRun, DEFAULTS, type VerifyOptions } from "./options.ts";
import { type Plan, plansFor } from "./plan.ts";
import { channelName } from "./publication.ts";
import { Published, Publisher } from "./publisher.ts";
import { findings, latenciesOf, type Report } from "./report.ts";
import { Stranger, type Trespassing } from "./stranger.ts";
import type { Way } from "./way.ts";
import { HttpWay } from "./way-http.ts";
import { WebSocketWay } from "./way-websocket.ts";

/** For the first client to be subscribed, for all, and then for the first events. */
const FIRST_MS = 5_000;
/** For anything at all to be acknowledged. */
const NOTHING_MS = 10_000;
const START_MS = 20_000;
const JUDGE_EVERY_MS = 1_000;
const POLL_MS = 100;
/** What is remembered for duplicates, of all channels together: events, and what became of them at each client. */
const KEEP = 20_000;
const KEEP_FATES = 5_000_000;
const MIN_KEEP_PER_CHANNEL = 10;
const MAX_PROBLEMS = 10;
/** Clients whose channels and ids somebody knows who has no right to them. */
const KNOWN_TO_STRANGERS = 100;

/** The clients and publishers of a run, and the checker that they report to. */
export class Load {
  readonly run = randomBytes(4).toString("hex");
  readonly counts: Counts;
  readonly published = new Published();
  readonly reconnects = new Reconnects();
  readonly #options: VerifyOptions;
  readonly #url: { readonly http: string; readonly webSocket: string };
  readonly #checker: Checker;
  readonly #claims: Claim[] = [];
  readonly #followers: Follower[];
  #publishers: Publisher[] = [];
  #stranger: Stranger | undefined;
  #judge: NodeJS.Timeout | undefined;
  #startedAt = 0;
  /** What no retry mends, once each. */
  readonly #problems = new Set<string>();
  #onProblem: (why: string) => void = () => {};
  #stopped = false;

  constructor(options: VerifyOptions, counts: Counts, patienceMs?: number) {
    this.#options = options;
    this.counts = counts;
    this.#url = urlsOf(options.url);
    const { channels, transports = DEFAULTS.transports } = options;
    const plans = plansFor(options, transports);
    const claims = plans.reduce((sum, plan) => sum + plan.channels.length, 0);
    const keep = Math.floor(Math.min(KEEP / channels, KEEP_FATES / claims));
    this.#checker = new Checker(counts, {
      keep: Math.max(MIN_KEEP_PER_CHANNEL, keep),
      ...(patienceMs !== undefined && { patienceMs }),
    });
    this.#followers = plans.map((plan, number) => this.#follower(plan, number));
  }

  /** Clients that are subscribed to all of their channels. */
  get present(): number {
    return this.#followers.filter(({ isPresent }) => isPresent).length;
  }

  /** Of somebody who has no grant; undefined: there is nobody. */
  get trespassing(): Trespassing | undefined {
    return this.#stranger?.found;
  }

  /**
   * Connects every client, then begins to publish; resolves when events flow.
   * @param signal calls it off
   * @throws {CouldNotRun}
   */
  async start(signal?: AbortSignal): Promise<void> {
    const refused = new Promise<never>((_, reject) => {
      this.#onProblem = (why) => reject(new CouldNotRun(why));
      const callOff = () => reject(new CouldNotRun("it was ended before events flowed"));
      if (signal?.aborted) callOff();
      else signal?.addEventListener("abort", callOff, { once: true });
    });
    refused.catch(() => {});
    for (const follower of this.#followers) follower.connect();
    await Promise.race([refused, this.#everybodyIsIn()]);
    for (const follower of this.#followers) follower.beRestless();
    this.#publishers = await this.#createPublishers();
    const { strangerToken } = this.#options;
    if (strangerToken)
      this.#stranger = new Stranger(this.#claims.slice(0, KNOWN_TO_STRANGERS), this.counts, {
        url: this.#url,
        token: strangerToken,
      });
    for (const publisher of this.#publishers) publisher.start();
    this.#startedAt = performance.now();
    this.#judge = setInterval(() => this.#checker.judge(performance.now()), JUDGE_EVERY_MS);
    await Promise.race([refused, this.#eventsFlow()]);
    this.#onProblem = () => {};
  }

  /** Resolves, with the reason, as soon as something happens that no retry mends. */
  get broken(): Promise<string> {
    return new Promise((resolve) => {
      for (const problem of this.#problems) resolve(problem);
      this.#onProblem = resolve;
    });
  }

  /** No further events and no needless reconnects: waits until everything has arrived, at most so long. */
  async settle(timeoutMs: number): Promise<void> {
    for (const publisher of this.#publishers) publisher.pause();
    for (const follower of this.#followers) follower.calmDown();
    const end = performance.now() + timeoutMs;
    const underWay = () => this.#publishers.some((publisher) => publisher.underWay > 0);
    await this.#until(
      () => !underWay() && this.present === this.#followers.length && this.#checker.outstanding === 0,
      timeoutMs,
    );
    // What comes again comes a moment later.
    await sleep(Math.max(0, Math.min(1_000, end - performance.now())));
  }

  /** Ends every connection. The report is about what there was until then. */
  async stop(): Promise<Report> {
    this.#stopped = true;
    clearInterval(this.#judge);
    const absent = this.#followers.filter((one) => !one.isPresent && one.refusal === undefined).length;
    this.#checker.finish();
    const report = this.#report(absent);
    this.#stranger?.stop();
    for (const follower of this.#followers) follower.stop();
    await Promise.all(this.#publishers.map((publisher) => publisher.stop()));
    return report;
  }

  #report(absent: number): Report {
    const { counts, published, reconnects, trespassing } = this;
    const tried = { ...trespassing?.refused, ...trespassing?.letIn };
    const seen = {
      problems: [...this.#problems],
      run: this.run,
      durationMs: Math.round(performance.now() - this.#startedAt),
      published: published.begun,
      acknowledged: counts.acknowledged,
      givenUp: published.begun - counts.acknowledged,
      heldBack: published.heldBack,
      failures: Object.fromEntries(published.failures),
      deliveries: counts.deliveries,
      recovered: counts.recovered,
      reconnects: { ...reconnects },
      resumes: Object.fromEntries(counts.resumes),
      told: Object.fromEntries(counts.told),
      lost: counts.lost,
      silent: counts.silent,
      toldLost: counts.toldLost,
      duplicated: counts.duplicated,
      reordered: counts.reordered,
      conflicting: counts.conflicting,
      foreign: counts.foreign,
      firstForeign: counts.firstForeign,
      unauthorised: Object.keys(tried).length > 0 ? counts.unauthorised : undefined,
      trespassing,
      late: counts.late,
      worstLateMs: Math.round(counts.worstLateMs),
      absent,
      worstDetectionMs:
        counts.worstDetectionMs === undefined ? undefined : Math.round(counts.worstDetectionMs),
      latencyMs: latenciesOf(counts),
    };
    const why = [...findings(seen, this.#options.allowTold), ...seen.problems];
    return { ok: why.length === 0, why, ...seen };
  }

  #follower({ transport, channels }: Plan, number: number): Follower {
    const { reconnectMs, awayMs, maxRetryMs } = this.#options;
    const claims = channels.map((channel) => this.#checker.claim(channelName(this.run, channel)));
    this.#claims.push(...claims);
    return new Follower(this.#checker, claims, this.reconnects, {
      transport,
      url: this.#url,
      run: this.run,
      token: () => this.#options.token(`verify-${number}`),
      reconnectMs,
      awayMs,
      maxRetryMs,
      onRefused: (why) => this.#refuse(why),
    });
  }

  #refuse(why: string): void {
    if (this.#problems.size < MAX_PROBLEMS) this.#problems.add(why);
    this.#onProblem(why);
  }

  async #createPublishers(): Promise<Publisher[]> {
    const { publishers, rate, channels, maxRetryMs } = this.#options;
    const ways = await Promise.all(Array.from({ length: publishers }, (_, number) => this.#way(number)));
    return ways.map(
      (way, number) =>
        new Publisher(way, this.#checker, this.published, {
          run: this.run,
          number,
          channels,
          rate: rate / publishers,
          maxRetryMs,
          onRefused: (why) => this.#refuse(why),
        }),
    );
  }

  async #way(number: number): Promise<Way> {
    const { via, maxRetryMs } = this.#options;
    const token = () => this.#options.token(`verify-publisher-${number}`);
    if (via === "ws") return new WebSocketWay(this.#url.webSocket, token, maxRetryMs);
    if (via === "http") return new HttpWay(this.#url.http, token);
    const { RedisWay } = await import("./way-redis.ts");
    return new RedisWay(via.redis, via.prefix);
  }

  /** @throws {CouldNotRun} when it takes too long, and sooner where nobody is let in at all */
  async #everybodyIsIn(): Promise<void> {
    const isSomebodyIn = await this.#until(() => this.present > 0, FIRST_MS);
    if (isSomebodyIn && (await this.#until(() => this.present === this.#followers.length, START_MS))) return;
    const missing = this.#followers.filter(({ isPresent }) => !isPresent);
    const why = missing.find(({ lastFailure }) => lastFailure !== "")?.lastFailure ?? "no answer";
    throw new CouldNotRun(`${missing.length} of ${this.#followers.length} clients were not let in: ${why}`);
  }

  /** A little is enough to begin with, where it takes long; but not nothing. @throws {CouldNotRun} */
  async #eventsFlow(): Promise<void> {
    const start = performance.now();
    await this.#until(() => this.counts.acknowledged >= 2 * this.#options.channels, FIRST_MS);
    const rest = start + NOTHING_MS - performance.now();
    if (await this.#until(() => this.counts.acknowledged > 0, rest)) return;
    const failures = [...this.published.failures.values()].map(({ message }) => message);
    throw new CouldNotRun(`nothing could be published: ${failures.join("; ") || "no answer"}`);
  }

  /** @returns whether it came true in time, and before it was stopped */
  async #until(isTrue: () => boolean, timeoutMs: number): Promise<boolean> {
    const end = performance.now() + timeoutMs;
    while (!isTrue()) {
      if (this.#stopped || performance.now() >= end) return false;
      await sleep(POLL_MS);
    }
    return true;
  }
}

function urlsOf(text: string): { http: string; webSocket: string } {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^(http|ws)s?:$/.test(url.protocol))
    throw new CouldNotRun(`"${text}" is not a URL like https://gateway.example.com`);
  const http = `${url.protocol.replace("ws", "http")}//${url.host}`;
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "")
    throw new CouldNotRun(`"${text}" has a path: a gateway is at the root of its host, ${http}`);
  return { http, webSocket: `${http.replace("http", "ws")}/ws` };
}
