import { setTimeout as sleep } from "node:timers/promises";
import { Crowd } from "./crowd.ts";
import { FIRST_NUMBER } from "./events.ts";
import { untilStill } from "./fanout.ts";
import type { HostileNeighbourJob, HostileNeighbourResult } from "./hostile-job.ts";
import { Publisher } from "./publisher.ts";
import { Way } from "./way.ts";
import { Window } from "./window.ts";

const WAYS = ["alone", "hostile", "hostile", "alone"] as const;
/** More than everything takes together. */
const LONGEST_MS = 600_000;

/** Publishes to one crowd all the time; the harness has the node attacked in the second and third of four turns. */
export async function runHostileNeighbour(
  job: HostileNeighbourJob,
  ready: () => Promise<void>,
): Promise<HostileNeighbourResult> {
  const ways = { alone: new Way(), hostile: new Way() };
  let [way, from, to]: [Way | null, number, number] = [null, 0, 0];
  const crowd: Crowd = new Crowd(job.target, 1, (number, _bytes, nowMs) => {
    const place = number - FIRST_NUMBER;
    if (place >= from && place < to) way?.latencies.record(nowMs - publisher.intendedMs(number));
    publisher.publishDue(nowMs);
  });
  const most = Math.ceil((LONGEST_MS * job.eventsPerSecond) / 1000);
  const publisher = new Publisher({ ...job, channels: 1, burst: 1 }, most);

  await crowd.open(job.sockets);
  const published = publisher.run();
  await sleep(job.warmupMs);
  for (const name of WAYS) {
    await ready(); // in which the attack begins or ends
    await sleep(job.warmupMs / 3);
    way = ways[name];
    const window = new Window(job.target, () => crowd.received);
    way.windows.push(window);
    [from, to] = [publisher.sent, Number.POSITIVE_INFINITY];
    window.open();
    await sleep(job.windowMs);
    window.close();
    to = publisher.sent;
    await untilStill(crowd, job.sockets * to); // the last of the turn's events count as the turn's
  }
  publisher.stop();
  await published;
  const expected = job.sockets * publisher.sent;
  await untilStill(crowd, expected);
  const result: HostileNeighbourResult = {
    alone: ways.alone.result,
    hostile: ways.hostile.result,
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
