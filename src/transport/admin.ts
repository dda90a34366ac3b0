import { createServer, type Server, type ServerResponse } from "node:http";

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail?: string;
}

export interface AdminSources {
  /** Whether this node should get new connections. */
  checks(): readonly Check[];
  /** In the Prometheus text format. */
  metrics(): Promise<{ contentType: string; text: string }>;
}

/**
 * The private port: health, readiness, metrics. Plain `node:http`, since probes and scrapers speak HTTP/1.0, which
 * uWebSockets.js refuses.
 */
export function createAdminServer(sources: AdminSources): Server {
  return createServer((req, res) => {
    const path = (req.url ?? "/").split("?", 1)[0];
    if (req.method !== "GET" && req.method !== "HEAD") {
      return reply(res, 405, "text/plain", "GET only\n", { allow: "GET, HEAD" });
    }
    if (path === "/healthz") return reply(res, 200, "application/json", '{"status":"ok"}\n');
    if (path === "/readyz") return readiness(res, sources);
    if (path === "/metrics") return metrics(res, sources);
    reply(res, 404, "text/plain", "/healthz /readyz /metrics\n");
  });
}

function readiness(res: ServerResponse, { checks }: AdminSources): void {
  const all = checks();
  const ready = all.every((check) => check.ok);
  reply(res, ready ? 200 : 503, "application/json", `${JSON.stringify({ ready, checks: all })}\n`);
}

function metrics(res: ServerResponse, sources: AdminSources): void {
  sources.metrics().then(
    ({ contentType, text }) => reply(res, 200, contentType, text),
    () => reply(res, 500, "text/plain", "the metrics could not be read\n"),
  );
}

function reply(
  res: ServerResponse,
  status: number,
  type: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  res.writeHead(status, {
    ...headers,
    "content-type": type,
    "cache-control": "no-store",
    "content-length": Buffer.byteLength(body),
  });
  res.end(body);
}
