import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { type GatewayNode, type LogEntry, logOf } from "../support/servers.ts";

/** No limit gets in the way of what is tested. */
export const UNLIMITED = {
  TIDEGATE_COMMAND_RATE: "0",
  TIDEGATE_HANDSHAKE_RATE: "0",
  TIDEGATE_MAX_CONNECTIONS: "0",
  TIDEGATE_MAX_CONNECTIONS_PER_USER: "1000000",
};

/** Log lines leave the node every 200 ms. */
const FLUSH_MS = 300;
const PINO_ERROR = 50;

/** It runs and answers, and says nothing of a failure: every line of its output is a JSON line below `error`. */
export async function expectUnharmed(node: GatewayNode): Promise<void> {
  await sleep(FLUSH_MS);
  expect(node.process.isRunning).toBe(true);
  expect(await node.isReady()).toBe(true);
  expect(node.output.filter((line) => !isLogLine(line))).toEqual([]);
  expect(logOf(node).filter((entry) => (entry.level as number) >= PINO_ERROR)).toEqual([]);
  expect(node.output.filter((line) => /unhandled|uncaught/i.test(line))).toEqual([]);
}

function isLogLine(line: string): boolean {
  try {
    return typeof (JSON.parse(line) as LogEntry).msg === "string";
  } catch {
    return false;
  }
}
