import { setTimeout as sleep } from "node:timers/promises";
import { exchange } from "./bare-tcp.ts";
import type { HandshakeJob } from "./job.ts";
import type { HandshakeResult } from "./result.ts";
import { tokenSigner } from "./token.ts";
import { upgradeRequest } from "./upgrade-request.ts";
import { Window } from "./window.ts";

// More than a run can use up: a token seen twice could be answered from a cache.
const MOST_PER_SECOND = 15_000;
/** What `exchange` reads into. */
export const scratch = Buffer.allocUnsafe(64 * 1024);
const SWITCHING = Buffer.from("HTTP/1.1 101");
const HEADER_END = Buffer.from("\r\n\r\n");

/** Opens connections one after the other on each of `concurrency` lanes, and drops each as soon as it is accepted. */
export async function runHandshakes(job: HandshakeJob, ready: () => Promise<void>): Promise<HandshakeResult> {
  const { port, secret } = job.target;
  const requests = upgradeRequests(secret, ((job.warmupMs + job.windowMs) / 1000) * MOST_PER_SECOND);
  let started = 0;
  let handshakes = 0;
  let failures = 0;
  let running = true;

  const isAnswer = (bytes: number): boolean => isAccepted(bytes, secret !== null);
  // Reset, not closed, by `exchange`: ports in TIME_WAIT would run out after three seconds of this.
  const open = (): void => {
    if (!running) return;
    const request = requests[started++ % requests.length] as Buffer;
    exchange({ port, request, into: scratch, isAnswer, done: finished });
  };
  const finished = (answered: boolean): void => {
    if (answered) handshakes++;
    else if (running) failures++;
    open();
  };

  await ready();
  for (let lane = 0; lane < job.concurrency; lane++) open();
  await sleep(job.warmupMs);
  const window = new Window(job.target, () => handshakes);
  window.open();
  await sleep(job.windowMs);
  window.close();
  running = false;
  const { done, ...usage } = window.usage;
  return { ...usage, handshakes: done, failures };
}

function upgradeRequests(secret: string | null, count: number): Buffer[] {
  if (secret === null) return [upgradeRequest([], null)];
  const sign = tokenSigner(secret);
  return Array.from({ length: count }, (_, user) => upgradeRequest([], sign(user)));
}

/** A gateway has accepted when its first frame is there too, with the response or after it. */
export function isAccepted(bytes: number, greets: boolean): boolean {
  if (greets && scratch[0] === 0x81) return true;
  if (SWITCHING.compare(scratch, 0, SWITCHING.length) !== 0) {
    throw new Error(`refused: ${scratch.toString("latin1", 0, bytes)}`);
  }
  if (!greets) return true;
  const end = scratch.subarray(0, bytes).indexOf(HEADER_END);
  return end >= 0 && bytes > end + HEADER_END.length;
}
