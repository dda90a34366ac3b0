import { once } from "node:events";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { Child, run } from "./harness/child.ts";
import { LOAD_CORE } from "./harness/cores.ts";
import { describeMachine, requireTools } from "./harness/machine.ts";
import { TIDEGATE } from "./harness/paths.ts";
import { startRedis } from "./harness/redis.ts";
import { describe } from "./harness/report.ts";
import { SECRET, startNode } from "./harness/servers.ts";
import { spread } from "./harness/statistics.ts";
import { channelName, eventData, FIRST_NUMBER } from "./load/events.ts";
import { tokenSigner } from "./load/token.ts";

const AUTOCANNON = createRequire(import.meta.url).resolve("autocannon");

interface Report {
  requests: { average: number };
  latency: { p50: number; p99: number; max: number };
  non2xx: number;
  errors: number;
}

const { values: options } = parseArgs({
  options: {
    main: { type: "string", default: TIDEGATE },
    seconds: { type: "string", default: "10" },
    connections: { type: "string", default: "50" },
    repetitions: { type: "string", default: "3" },
  },
});

/** On one core: what the HTTP edge can take, and what is left of it when Redis keeps every event. */
const MEMORY_AT_LEAST = 5_000;
const REDIS_AT_LEAST = 0.6;

/** Publishing over HTTP to one node: with the memory backplane, and through Redis with history. By turns. */
async function main(): Promise<void> {
  requireTools();
  console.log(describe(describeMachine()));
  const redis = await startRedis();
  const nodes = {
    memory: await startNode(options.main),
    redis: await startNode(options.main, { TIDEGATE_REDIS_URL: `redis://127.0.0.1:${redis.port}` }),
  };
  const rates = { memory: [] as number[], redis: [] as number[] };
  for (let turn = 0; turn < Number(options.repetitions); turn++) {
    for (const backplane of ["memory", "redis"] as const) {
      const url = `http://127.0.0.1:${nodes[backplane].port}/v1/channels/${channelName(0)}/events`;
      const body = JSON.stringify({ data: JSON.parse(eventData(FIRST_NUMBER)) });
      await post(url, body, "2");
      const { requests, latency, non2xx, errors } = await post(url, body, options.seconds);
      rates[backplane].push(requests.average);
      console.log(
        `POST ${new URL(url).pathname}, ${backplane}, ${options.connections} connections: ${requests.average.toFixed(0)}/s; ` +
          `p50 ${latency.p50} ms, p99 ${latency.p99} ms, max ${latency.max} ms; ${non2xx} refused, ${errors} errors`,
      );
      if (non2xx + errors > 0) process.exitCode = 1;
    }
  }
  const ratios = rates.redis.map((rate, i) => rate / (rates.memory[i] ?? Number.NaN));
  say("memory", spread(rates.memory).median, MEMORY_AT_LEAST, "/s");
  say("redis : memory", spread(ratios).median, REDIS_AT_LEAST, " ×");
}

function say(what: string, value: number, atLeast: number, unit: string): void {
  const passes = value >= atLeast;
  console.log(
    `${what}: ${value.toFixed(value < 10 ? 2 : 0)}${unit}, at least ${atLeast}: ${passes ? "pass" : "FAIL"}`,
  );
  if (!passes) process.exitCode = 1;
}

async function post(url: string, body: string, seconds: string): Promise<Report> {
  const token = tokenSigner(SECRET)(0);
  const headers = ["content-type=application/json", `authorization=Bearer ${token}`].flatMap((header) => [
    "-H",
    header,
  ]);
  const load = ["-c", options.connections, "-d", seconds];
  const child = new Child(LOAD_CORE, [
    process.execPath,
    AUTOCANNON,
    "--json",
    "--no-progress",
    "-m",
    "POST",
    ...load,
    ...headers,
    "-b",
    body,
    url,
  ]);
  await once(child.process, "close");
  await child.stop();
  try {
    return JSON.parse(child.output) as Report;
  } catch {
    throw new Error(`autocannon said:\n${child.output}`);
  }
}

await run(main);
