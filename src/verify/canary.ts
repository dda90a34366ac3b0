import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { Counts } from "./counts.ts";
import { Load } from "./load.ts";
import { CouldNotRun, type VerifyOptions } from "./options.ts";
import { renderTrespassing } from "./report.ts";

export interface CanaryOptions extends VerifyOptions {
  /** Where Prometheus scrapes it. 0: any free port. */
  readonly metricsPort: number;
  readonly metricsHost: string;
  /** Where it listens, and what it finds. */
  print(line: string): void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** How long an event may be missing before it is lost. */
const PATIENCE_MS = 60_000;
const PRINT_EVERY_MS = 1_000;
/** After so long somebody without a grant has tried every way, or cannot. */
const TRIED_MS = 10_000;

/**
 * Verifies until it is told to end, with little load and bounded memory: metrics say what it finds.
 * @throws {CouldNotRun} when it cannot go on: somebody should look, and start it again
 */
export async function canary(options: CanaryOptions): Promise<void> {
  const latency = new Histogram({
    name: "tidegate_verify_latency_seconds",
    help: "From the first attempt to publish to a live delivery.",
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [],
  });
  const counts = new Counts((ms) => latency.observe(ms / 1000));
  const load = new Load(options, counts, PATIENCE_MS);
  const server = serveMetrics(createRegistry(load, latency));
  try {
    server.listen(options.metricsPort, options.metricsHost);
    await once(server, "listening").catch((error: Error) => {
      throw new CouldNotRun(error.message);
    });
    await load.start(options.signal);
    const { port } = server.address() as AddressInfo;
    options.print(`run ${load.run}, metrics on http://${options.metricsHost}:${port}/metrics`);
    const watch = setInterval(printChanges(load, options.print), PRINT_EVERY_MS);
    const tried = setTimeout(() => {
      options.print(`somebody without a grant: ${renderTrespassing(load.trespassing)}`);
    }, TRIED_MS);
    const ended = once(options.signal, "abort").then(() => undefined);
    const why = options.signal.aborted ? undefined : await Promise.race([load.broken, ended]);
    clearInterval(watch);
    clearTimeout(tried);
    if (why !== undefined) throw new CouldNotRun(why);
  } catch (error) {
    if (!options.signal.aborted) throw error;
  } finally {
    server.close();
    server.closeAllConnections();
    await load.stop();
  }
}

/** What is promised never to be more than 0, and `told`, which a healthy system has no need of. */
function violations({ counts }: Load): Record<string, number> {
  const { lost, silent, duplicated, reordered, conflicting, foreign, unauthorised, told } = counts;
  return { lost, silent, duplicated, reordered, conflicting, foreign, unauthorised, told: told.total };
}

function printChanges(load: Load, print: (line: string) => void): () => void {
  let last = violations(load);
  return () => {
    const now = violations(load);
    for (const [what, count] of Object.entries(now))
      if (count !== last[what])
        print(`${new Date().toISOString()} ${what}: ${count - (last[what] ?? 0)} more, ${count} in all`);
    last = now;
  };
}

function createRegistry(load: Load, latency: Histogram): Registry {
  const registry = new Registry();
  registry.registerMetric(latency);
  const counter = (name: string, help: string, read: () => number) =>
    new Counter({
      name: `tidegate_verify_${name}_total`,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  const { counts } = load;
  counter("published", "Events that it tried to publish.", () => load.published.begun);
  counter("acknowledged", "Of them, those that were acknowledged.", () => counts.acknowledged);
  counter("deliveries", "Events that its clients got.", () => counts.deliveries);
  counter("lost", "Events that a client did not get, told or not.", () => counts.lost);
  counter("silent", "Events that a client did not get and was not told of.", () => counts.silent);
  counter("told", "How often a client was told of a loss.", () => counts.told.total);
  counter("duplicated", "Events delivered more than once.", () => counts.duplicated);
  counter("reordered", "Events delivered out of order.", () => counts.reordered);
  counter("conflicting", "Ids with two values.", () => counts.conflicting);
  counter("foreign", "Events of another channel, or of nobody.", () => counts.foreign);
  counter("unauthorised", "How often somebody without a grant was let in.", () => counts.unauthorised);
  counter("refused", "How often somebody without a grant was refused: 0, and nothing was tried.", () =>
    Object.values(load.trespassing?.refused ?? {}).reduce((sum, count) => sum + count, 0),
  );
  counter("late", "Live deliveries over five seconds after the acknowledgement.", () => counts.late);
  new Gauge({
    name: "tidegate_verify_clients",
    help: "Clients that are subscribed.",
    registers: [registry],
    collect() {
      this.set(load.present);
    },
  });
  return registry;
}

function serveMetrics(registry: Registry): Server {
  return createServer((req, res) => {
    if (req.url !== "/metrics") return void res.writeHead(404).end("/metrics\n");
    registry.metrics().then(
      (text) => res.writeHead(200, { "content-type": registry.contentType }).end(text),
      () => res.writeHead(500).end(),
    );
  });
}
