import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import { EXIT_CONFIG, EXIT_FAILURE, EXIT_USAGE } from "./cli/exit.ts";
import type { VerifyFlags } from "./cli/verify.ts";
import { type Config, ConfigError, readConfig } from "./config/config.ts";
import { duration, integer, type Kind, port } from "./config/kinds.ts";
import { flagName, OPTIONS, type Option, type OptionName } from "./config/options.ts";

/* The process's edge: the only file that reads the environment, listens to signals and exits. Commands load when
   they run: `serve` alone needs the native addon. */

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};
const print = (line: string) => void process.stdout.write(`${line}\n`);

const program = new Command("tidegate")
  .description("A horizontally scaled WebSocket gateway.")
  .version(version)
  .option("--config <file>", "JSON file of options (TIDEGATE_CONFIG)")
  .showHelpAfterError()
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT_USAGE));

function config(flags: Partial<Record<OptionName, string>> = {}, serving = true): Config {
  const file = program.opts<{ config?: string }>().config ?? process.env.TIDEGATE_CONFIG;
  return readConfig({ environment: process.env, flags, file, serving });
}

const serve = program.command("serve").description("run one node");
const flagNames = new Map<string, OptionName>();
for (const [name, option] of Object.entries(OPTIONS) as [OptionName, Option<unknown>][]) {
  // A secret on a command line is in every process list.
  if (option.secret) continue;
  const flag = serve.createOption(
    `${flagName(name)} <${option.kind.name.replaceAll(/[<>|]/g, " ")}>`,
    option.about,
  );
  flagNames.set(flag.attributeName(), name);
  serve.addOption(flag);
}
serve.action(async (options: Record<string, string>) => {
  const flags = Object.fromEntries(
    Object.entries(options).map(([flag, value]) => [flagNames.get(flag), value]),
  );
  const command = await import("./cli/serve.ts");
  await command.serve(config(flags), {
    version,
    print,
    onSignal: (handler) => void process.on("SIGTERM", handler).on("SIGINT", handler),
    exit: (code) => process.exit(code),
  });
});

const reader =
  <T>(kind: Kind<T>) =>
  (text: string): T => {
    try {
      return kind.read(text);
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message);
    }
  };
/** No longer than a timer can wait: 24 days. */
const milliseconds = reader(duration(0, 2_147_483_647));
const seconds = (text: string): number => reader(duration(1_000, 365 * 24 * 3_600_000))(text) / 1000;
const grants = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError('is not JSON like {"chat-*":["subscribe","publish"]}');
  }
};

program
  .command("token")
  .description("mint a development token with the configured secret")
  .option("--sub <user>", "whose token", "dev")
  .option("--grants <json>", "the `channels` claim; default: everything on every channel", grants)
  .option("--admin <actions>", "the `admin` claim, such as connections,revoke; * for all")
  .option("--ttl <duration>", "how long it lives", seconds, 3600)
  .action(async (options: { sub: string; grants?: unknown; admin?: string; ttl: number }) => {
    const { sub, ttl, grants, admin } = options;
    print(await mint(sub, ttl, grants, admin?.split(",")));
  });

program
  .command("publish <channel> <data>")
  .description("publish one event over HTTP; data is JSON, or else a string")
  .option("--type <type>", "the event's type")
  .option("--url <url>", "of a node or the balancer; default: the configured node")
  .option("--token <token>", "default: one minted with the configured secret")
  .action(async (channel: string, data: string, options: { type?: string; url?: string; token?: string }) => {
    const command = await import("./cli/publish.ts");
    const token = options.token ?? (await mint("dev", 60));
    print(await command.publish(options.url ?? ownUrl(), token, { channel, data, type: options.type }));
  });

program
  .command("subscribe <channel...>")
  .description("follow channels: one line a frame")
  .option("--url <url>", "of a node or the balancer; default: the configured node")
  .option("--token <token>", "default: one minted with the configured secret")
  .action(async (channels: string[], options: { url?: string; token?: string }) => {
    const command = await import("./cli/subscribe.ts");
    const minted = options.token ?? (await mint("dev", 24 * 3600));
    await command.subscribe({
      url: (options.url ?? ownUrl()).replace(/^http/, "ws"),
      channels,
      token: () => minted,
      print,
      note: (line) => void process.stderr.write(`${line}\n`),
    });
  });

program
  .command("redis function")
  .description("print the function library that nodes load into Redis")
  .action(async () => {
    const command = await import("./cli/redis-function.ts");
    print(command.redisFunction());
  });

program
  .command("verify <url>")
  .description("publish numbered events, follow them with clients that come and go, and check every promise")
  .option(
    "--token <token>",
    "may subscribe and publish to verify-*; default: minted with the configured secret",
  )
  .option("--channels <n>", "how many, named verify-<run>-<n> (10; canary 2)", reader(integer(1, 10_000)))
  .option("--rate <n>", "events per second, in all (100; canary 1)", reader(integer(1, 100_000)))
  .option("--publishers <n>", "default: 2, or one for each 40 events per second", reader(integer(1, 1_000)))
  .option("--via <way>", "ws, http, redis (TIDEGATE_REDIS_URL) or the URL of a Redis (ws)")
  .option("--clients <n>", "how many follow (50; canary 4)", reader(integer(1, 20_000)))
  .option("--transports <list>", "how they follow: ws, sse, or both in turn (ws,sse)")
  .option("--channels-per-client <n>", "that each follows (3; canary 2)", reader(integer(1, 100)))
  .option("--reconnect <duration>", "mean time between a client's reconnects, 0s: none (5s)", milliseconds)
  .option("--away <duration>", "how long it stays away at most when it cuts (1s)", milliseconds)
  .option("--duration <duration>", "how long to publish (30s)", milliseconds)
  .option("--settle <duration>", "how long everything may take to arrive after that (40s)", milliseconds)
  .option("--max-retry <duration>", "longest wait before another attempt (2s)", milliseconds)
  .option("--allow-told", "being told of a loss is no failure")
  .option("--json", "print one JSON object")
  .option("--canary", "run for ever, with little load, and expose metrics")
  .option("--metrics-port <port>", "of the canary (9091)", reader(port))
  .option("--metrics-host <address>", "of the canary (127.0.0.1)")
  .action(async (url: string, { token: given, ...flags }: VerifyFlags & { token?: string }) => {
    const command = await import("./cli/verify.ts");
    const complain = (line: string) => void process.stderr.write(`tidegate: ${line}\n`);
    // The exit code 1 says that a promise was broken: what fails out of turn must not say so.
    process.on("uncaughtException", (error) => {
      complain(`could not run: ${command.reasonOf(error)}`);
      process.exit(EXIT_USAGE);
    });
    const { redis_url, redis_prefix } = config({}, false);
    const interrupted = new AbortController();
    process.once("SIGINT", () => interrupted.abort()).once("SIGTERM", () => interrupted.abort());
    const code = await command.verify(flags, {
      url,
      ...(given === undefined ? await verifyTokens() : { token: () => given }),
      redisUrl: redis_url,
      redisPrefix: redis_prefix,
      print,
      complain,
      signal: interrupted.signal,
    });
    process.exit(code);
  });

program
  .command("doctor")
  .description("check this machine and the configuration")
  .action(async () => {
    const command = await import("./cli/doctor.ts");
    const findings = await command.doctor(config());
    for (const { what, ok, found } of findings) print(`${ok ? "ok  " : "FAIL"}  ${what.padEnd(15)} ${found}`);
    if (findings.some(({ ok }) => !ok)) process.exitCode = 1;
  });

program
  .command("config")
  .description("print the effective configuration, or every problem of it")
  .option("--table", "print the table of all options instead")
  .action(async ({ table }: { table?: true }) => {
    const command = await import("./cli/print-config.ts");
    if (table) return print(command.optionTable());
    const effective = config();
    for (const warning of effective.warnings) process.stderr.write(`warning: ${warning}\n`);
    print(command.printConfig(effective));
  });

async function mint(
  sub: string,
  ttlSeconds: number,
  channels?: unknown,
  admin?: readonly string[],
): Promise<string> {
  const { ALL_GRANTS, mintToken } = await import("./cli/mint.ts");
  return mintToken(config({}, false), { sub, channels: channels ?? ALL_GRANTS, admin, ttlSeconds });
}

/** For `verify`: tokens that may do what it does and no more, and one that may do nothing. */
async function verifyTokens() {
  const { mintToken } = await import("./cli/mint.ts");
  const effective = config({}, false);
  const token = (sub: string, channels: unknown) =>
    mintToken(effective, { sub, channels, ttlSeconds: 24 * 3600 });
  return {
    token: (user: string) => token(user, { "verify-*": ["subscribe", "publish"] }),
    strangerToken: () => token("verify-stranger", {}),
  };
}

function ownUrl(): string {
  const { host, port } = config({}, false);
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

try {
  await program.parseAsync();
} catch (error) {
  const known =
    error instanceof ConfigError || (error instanceof Error && error.name === "UnsupportedPlatform");
  process.stderr.write(`tidegate: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(known ? EXIT_CONFIG : EXIT_FAILURE);
}
