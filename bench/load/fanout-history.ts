import { Crowd } from "./crowd.ts";
import { FIRST_NUMBER } from "./events.ts";
import { untilStill } from "./fanout.ts";
import type { FanoutHistoryJob } from "./job.ts";
import { Publisher } from "./publisher.ts";
import type { FanoutHistoryResult } from "./result.ts";
import { Way } from "./way.ts";
import { Window } from "./window.ts";

/** Turns of each way; the two change places in every other pair. */
const TURNS = 5;

/**
 * Publishes to one crowd on one node by turns, plainly and with history. What one process has that the next has not
 * (how its code was compiled, where its heap lies) weighs more than what is looked for here.
 */
export async function runFanoutHistory(
  job: FanoutHistoryJob,
  ready: () => Promise<void>,
): Promise<FanoutHistoryResult> {
  const events = (ms: number): number => Math.ceil((ms * job.eventsPerSecond) / 1000);
  const perTurn = events(job.windowMs / TURNS);
  // The warm-up has both ways too: turns of as many events, before the first that counts.
  const warmTurns = Math.ceil(events(job.warmupMs) / perTurn / 2) * 2;
  const total = (warmTurns + 2 * TURNS) * perTurn;
  const turnOf = (place: number): number => Math.floor(place / perTurn);
  const withHistory = (place: number): boolean => [1, 2].includes(turnOf(place) % 4);
  const wayOf = (place: number) => (withHistory(place) ? ways.history : ways.plain);
  const ways = { plain: new Way(), history: new Way() };

  const crowd: Crowd = new Crowd(job.target, 1, (number, bytes, nowMs) => {
    const place = number - FIRST_NUMBER;
    const way = wayOf(place);
    if (turnOf(place) >= warmTurns) way.latencies.record(nowMs - publisher.intendedMs(number));
    way.frameBytes = bytes;
    publisher.publishDue(nowMs);
  });
  let window: Window | null = null;
  const publisher = new Publisher({ ...job, channels: 1, burst: 1, withHistory }, total, (sent) => {
    if (sent % perTurn !== 0) return;
    window?.close();
    if (turnOf(sent) < warmTurns || sent === total) return;
    window = new Window(job.target, () => crowd.received);
    window.open();
    wayOf(sent).windows.push(window);
  });

  await crowd.open(job.sockets);
  await ready();
  await publisher.run();
  const expected = job.sockets * total;
  await untilStill(crowd, expected);
  const result: FanoutHistoryResult = {
    plain: ways.plain.result,
    history: ways.history.result,
    lagP99Ms: publisher.lag.percentile(0.99),
    expected,
    received: crowd.received,
    disordered: crowd.disordered,
    closed: crowd.closed,
  };
  publisher.close();
  crowd.drop();
  return result;
}
