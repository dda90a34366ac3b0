import { randomBytes } from "node:crypto";
import type { Backplane, BackplaneEvents } from "../backplane/backplane.ts";
import { MemoryBackplane } from "../backplane/memory.ts";
import { RedisBackplane } from "../backplane/redis/redis.ts";
import { parseRedisUrl } from "../backplane/redis/redis-url.ts";
import type { Config } from "../config/config.ts";
import type { GatewayContext } from "./context.ts";

export function createBackplane(
  config: Config,
  { node, log, onFatal }: GatewayContext,
  events: BackplaneEvents,
): Backplane {
  if (config.redis_url === undefined) return new MemoryBackplane(node, config.history, events);
  return new RedisBackplane({
    address: parseRedisUrl(config.redis_url, config.redis_ca),
    prefix: config.redis_prefix,
    node,
    instance: `${node}:${randomBytes(6).toString("base64url")}`,
    maxEventBytes: config.max_frame_bytes,
    history: config.history,
    presence: config.presence.length > 0,
    log,
    events,
    onFatal,
  });
}

/** Whether a node may be sent clients, as far as the other nodes go. */
export function backplaneCheck({ downSince }: Backplane, graceMs: number): { ok: boolean; detail?: string } {
  if (downSince === undefined) return { ok: true };
  const awayMs = performance.now() - downSince;
  const away = Number.isFinite(awayMs) ? `away for ${Math.round(awayMs / 1000)} s` : "not reached yet";
  return { ok: awayMs < graceMs, detail: `${away} (TIDEGATE_REDIS_URL, TIDEGATE_BACKPLANE_GRACE)` };
}
