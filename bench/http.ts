import { once } from "node:events";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { Child, run } from "./harness/child.ts";
import { LOAD_CORE } from "./harness/cores.ts";
import { describeMachine, requireTools } from "./harness/machine.ts";
import { TIDEGATE } from "./harness/paths.ts";
import { describe } from "./harness/report.ts";
import { SECRET, startNode } from "./harness/servers.ts";
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
  },
});

/** Publishing over HTTP to one node with the memory backplane: what the HTTP edge itself costs. */
async function main(): Promise<void> {
  requireTools();
  console.log(describe(describeMachine()));
  const { port } = await startNode(options.main);
  const url = `http://127.0.0.1:${port}/v1/channels/${channelName(0)}/events`;
  const body = JSON.stringify({ data: JSON.parse(eventData(FIRST_NUMBER)) });
  await post(url, body, "2");
  const { requests, latency, non2xx, errors } = await post(url, body, options.seconds);
  console.log(
    `POST ${new URL(url).pathname}, ${options.connections} connections: ${requests.average.toFixed(0)}/s; ` +
      `p50 ${latency.p50} ms, p99 ${latency.p99} ms, max ${latency.max} ms; ${non2xx} refused, ${errors} errors`,
  );
  if (non2xx + errors > 0) process.exitCode = 1;
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
