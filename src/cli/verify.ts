import {
  CANARY_DEFAULTS,
  CouldNotRun,
  DEFAULTS,
  publishersFor,
  type Transport,
  type VerifyOptions,
  type Via,
} from "../verify/options.ts";
import { isBroken, renderReport } from "../verify/report.ts";
import { verify as run } from "../verify/run.ts";
import { EXIT_FAILURE, EXIT_USAGE } from "./exit.ts";

/** As the command line says it; what is missing has a default. Durations are milliseconds. */
export interface VerifyFlags {
  readonly channels?: number;
  readonly rate?: number;
  readonly publishers?: number;
  /** `ws`, `http`, `redis`, or the URL of a Redis. */
  readonly via?: string;
  readonly clients?: number;
  /** `ws`, `sse` or both, with a comma. */
  readonly transports?: string;
  readonly channelsPerClient?: number;
  readonly reconnect?: number;
  readonly away?: number;
  readonly duration?: number;
  readonly settle?: number;
  readonly maxRetry?: number;
  readonly allowTold?: boolean;
  readonly json?: boolean;
  readonly canary?: boolean;
  readonly metricsPort?: number;
  readonly metricsHost?: string;
}

export interface VerifyContext extends Pick<VerifyOptions, "url" | "token" | "strangerToken"> {
  /** TIDEGATE_REDIS_URL and TIDEGATE_REDIS_PREFIX. */
  readonly redisUrl: string | undefined;
  readonly redisPrefix: string;
  print(line: string): void;
  /** What went wrong, where nothing could be verified. */
  complain(line: string): void;
  /** Ends the run before its time, with a report. */
  readonly signal: AbortSignal;
}

/**
 * @returns the exit code: 0 every promise kept, 1 not, 2 could not run. 1 is for a promise that was seen broken, and for
 * nothing else: whatever fails here, or is not let in any more, says nothing about the promises.
 */
export async function verify(flags: VerifyFlags, context: VerifyContext): Promise<number> {
  try {
    const options = optionsOf(flags, context);
    if (flags.canary) {
      const { canary } = await import("../verify/canary.ts");
      const { metricsPort = 9091, metricsHost = "127.0.0.1" } = flags;
      const { print, signal } = context;
      await canary({ ...options, metricsPort, metricsHost, print, signal });
      return 0;
    }
    const report = await run(options, { signal: context.signal });
    context.print(flags.json ? JSON.stringify(report) : renderReport(report));
    if (report.ok) return 0;
    return isBroken(report) ? EXIT_FAILURE : EXIT_USAGE;
  } catch (error) {
    context.complain(`could not run: ${reasonOf(error)}`);
    return EXIT_USAGE;
  }
}

/** For people; of what nobody has foreseen also where it came from. */
export function reasonOf(error: unknown): string {
  if (error instanceof CouldNotRun) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** @throws {CouldNotRun} when there is no token that a request can have */
function checkToken(token: VerifyOptions["token"]): void {
  let text: string;
  try {
    text = token("verify");
  } catch (error) {
    throw new CouldNotRun(`${(error as Error).message}; or give one: --token`);
  }
  if (!/^[\x21-\x7e]+$/.test(text))
    throw new CouldNotRun("the token is empty, or has characters that no header takes");
}

/** @throws {CouldNotRun} */
function optionsOf(flags: VerifyFlags, context: VerifyContext): VerifyOptions {
  const defaults = flags.canary ? CANARY_DEFAULTS : DEFAULTS;
  const { rate = defaults.rate, via = defaults.via } = flags;
  checkToken(context.token);
  return {
    url: context.url,
    token: context.token,
    ...(context.strangerToken && { strangerToken: context.strangerToken }),
    channels: flags.channels ?? defaults.channels,
    rate,
    publishers: flags.publishers ?? publishersFor(rate),
    via: viaOf(via, context),
    clients: flags.clients ?? defaults.clients,
    transports: flags.transports === undefined ? defaults.transports : transportsOf(flags.transports),
    channelsPerClient: flags.channelsPerClient ?? defaults.channelsPerClient,
    reconnectMs: flags.reconnect ?? defaults.reconnectMs,
    awayMs: flags.away ?? defaults.awayMs,
    durationMs: flags.duration ?? defaults.durationMs,
    settleMs: flags.settle ?? defaults.settleMs,
    maxRetryMs: flags.maxRetry ?? defaults.maxRetryMs,
    allowTold: flags.allowTold ?? defaults.allowTold,
  };
}

/** @throws {CouldNotRun} */
function viaOf(text: string, { redisUrl, redisPrefix }: VerifyContext): Via {
  if (text === "ws" || text === "http") return text;
  const redis = text === "redis" ? redisUrl : text;
  if (redis === undefined || !/^rediss?:\/\//.test(redis))
    throw new CouldNotRun("--via is ws, http, redis with TIDEGATE_REDIS_URL set to redis://…, or such a URL");
  return { redis, prefix: redisPrefix };
}

/** @throws {CouldNotRun} */
function transportsOf(text: string): Transport[] {
  return text.split(",").map((transport) => {
    if (transport === "ws" || transport === "sse") return transport;
    throw new CouldNotRun("--transports is ws, sse, or ws,sse");
  });
}
