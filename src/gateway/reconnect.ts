import type { Config } from "../config/config.ts";

/** Also where a node has room for few, or accepts everybody at once. */
const SHORTEST_MS = 2_000;

/**
 * When clients that were cut off may come back, each at a random moment of this window.
 *
 * A fleet of n nodes that can lose one has at most (n − 1) / n of its capacity taken. Those n − 1 nodes accept a full
 * node's share, C × (n − 1) / n, at n − 1 times the rate of one: in C / n / rate, which is at most half of what one node
 * would need for as many as it can hold.
 */
export function reconnectWindow({ max_connections, handshake_rate }: Config): { min: number; max: number } {
  const storm = handshake_rate === 0 ? 0 : Math.round((max_connections / handshake_rate) * 500);
  return { min: 500, max: Math.max(SHORTEST_MS, storm) };
}
