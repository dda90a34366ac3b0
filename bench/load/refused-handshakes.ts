import { exchange } from "./bare-tcp.ts";
import { isAccepted, scratch } from "./handshakes.ts";
import type { RefusedHandshakesJob } from "./job.ts";
import { Latencies } from "./latencies.ts";
import { random } from "./random.ts";
import type { RefusedHandshakesResult } from "./result.ts";
import { tokenSigner } from "./token.ts";
import { upgradeRequest } from "./upgrade-request.ts";
import { Window } from "./window.ts";

const FORGER = "a-secret-that-the-node-has-never-heard-of";
const UNAUTHORIZED = Buffer.from("HTTP/1.1 401");
const PATIENCE_MS = 5_000;

interface Arrival {
  /** From the start. */
  atMs: number;
  request: Buffer;
  forged: boolean;
}

/** Handshakes by the clock, whatever becomes of earlier ones; each is dropped as soon as it is answered. */
export async function runRefusedHandshakes(
  job: RefusedHandshakesJob,
  ready: () => Promise<void>,
): Promise<RefusedHandshakesResult> {
  const { target, warmupMs } = job;
  const arrivals = [
    ...stream(job, job.acceptedPerSecond, target.secret ?? "", false),
    ...stream(job, job.refusedPerSecond, FORGER, true),
  ].sort((a, b) => a.atMs - b.atMs);
  const latencies = new Latencies();
  const answered = { accepted: 0, refused: 0 };
  let failures = 0;
  let next = 0;
  const window = new Window(target, () => answered.accepted + answered.refused);

  await ready();
  const startMs = performance.now();
  const begin = ({ atMs, request, forged }: Arrival): void => {
    const measured = atMs >= warmupMs;
    exchange({
      port: target.port,
      request,
      into: scratch,
      isAnswer: (bytes) => {
        if (forged) return isRefused(bytes);
        const accepted = isAccepted(bytes, true);
        if (accepted && measured) latencies.record(performance.now() - startMs - atMs);
        return accepted;
      },
      done: (ok) => {
        if (!ok) failures++;
        else if (measured) answered[forged ? "refused" : "accepted"]++;
      },
    });
  };
  // Without a pause: a timer of a millisecond would be most of what is measured.
  await eachTurn(() => {
    const nowMs = performance.now() - startMs;
    for (let due = arrivals[next]; due !== undefined && due.atMs <= nowMs; due = arrivals[++next]) {
      if (due.atMs >= warmupMs && (arrivals[next - 1]?.atMs ?? 0) < warmupMs) window.open();
      begin(due);
    }
    return next === arrivals.length;
  });
  const measured = arrivals.filter(({ atMs }) => atMs >= warmupMs).length;
  const deadline = performance.now() + PATIENCE_MS;
  await eachTurn(
    () => answered.accepted + answered.refused + failures >= measured || performance.now() > deadline,
  );
  window.close();
  if (answered.accepted + answered.refused < measured) {
    throw new Error(`${measured - answered.accepted - answered.refused} handshakes were not answered`);
  }
  const { done: _, ...usage } = window.usage;
  return { ...usage, ...answered, p50Ms: latencies.percentile(0.5), p99Ms: latencies.percentile(0.99) };
}

/** Instants of a Poisson process, the same in each run, and a token of a user of its own for each. */
function stream(job: RefusedHandshakesJob, perSecond: number, secret: string, forged: boolean): Arrival[] {
  if (perSecond === 0) return [];
  const sign = tokenSigner(secret);
  const next = random(forged ? 2 : 1);
  const arrivals: Arrival[] = [];
  const gapMs = (): number => (-Math.log(1 - next()) * 1000) / perSecond;
  for (let atMs = gapMs(); atMs < job.warmupMs + job.windowMs; atMs += gapMs()) {
    arrivals.push({ atMs, request: upgradeRequest([], sign(arrivals.length)), forged });
  }
  return arrivals;
}

function isRefused(bytes: number): boolean {
  if (UNAUTHORIZED.compare(scratch, 0, UNAUTHORIZED.length) === 0) return true;
  throw new Error(`not refused: ${scratch.toString("latin1", 0, bytes)}`);
}

function eachTurn(isDone: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const turn = (): void => {
      if (isDone()) resolve();
      else setImmediate(turn);
    };
    turn();
  });
}
