import type { Backplane } from "../backplane/backplane.ts";
import type { Config } from "../config/config.ts";
import { Presence } from "../session/presence.ts";
import { reconnectWindow } from "./reconnect.ts";

/** Who was cut off may be on the way back, and is waited for; no longer than somebody whose node has died. */
const MAX_AWAY_MS = 15_000;
/** To connect, and to be subscribed again. */
const BACK_MS = 2_000;

/** Undefined: no channel has any. */
export function createPresence(config: Config, backplane: Backplane): Presence | undefined {
  if (config.presence.length === 0) return undefined;
  const graceMs = Math.min(reconnectWindow(config).max, MAX_AWAY_MS) + BACK_MS;
  return new Presence(config.presence, backplane, config.grants, graceMs);
}
