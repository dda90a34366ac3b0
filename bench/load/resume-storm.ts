import { setTimeout as sleep } from "node:timers/promises";
import type { ResumeStormJob, Target } from "./job.ts";
import { Publisher } from "./publisher.ts";
import type { ResumeStormResult } from "./result.ts";
import { Resumers } from "./resumers.ts";

/** More than everything takes together. */
const LONGEST_MS = 300_000;
const PATIENCE_MS = 10_000;

/** Publishes with history at a steady rate to clients that are cut off, one node being killed, and resume on the others. */
export async function runResumeStorm(
  job: ResumeStormJob,
  ready: () => Promise<void>,
): Promise<ResumeStormResult> {
  const [victim, ...survivors] = job.nodes as [Target, ...Target[]];
  const resumers: Resumers = new Resumers(job, (nowMs) => publisher.publishDue(nowMs));
  const most = Math.ceil((LONGEST_MS * job.eventsPerSecond) / 1000);
  const publisher = new Publisher({ ...job, target: victim, burst: 1, withHistory: () => true }, most);

  await resumers.fill();
  const published = publisher.run();
  await sleep(job.warmupMs + job.windowMs);
  await ready();
  const killedAtMs = performance.now();
  process.kill(victim.pid, "SIGKILL");
  resumers.cutOff();
  await sleep(job.awayMs);

  const beganAtMs = performance.now();
  const usedBefore = process.cpuUsage();
  const subscribedAtMs = await resumers.comeBack(survivors, job.attemptsPerSecond);
  await resumers.untilUpTo(publisher.sent, PATIENCE_MS);
  const upToDateAtMs = performance.now();
  const used = process.cpuUsage(usedBefore);

  await sleep(job.windowMs);
  publisher.stop();
  await published;
  await resumers.untilUpTo(publisher.sent, PATIENCE_MS);
  const { ledger, result } = resumers;
  publisher.close();
  resumers.cutOff();
  return {
    ...result,
    killToLastMs: upToDateAtMs - killedAtMs,
    firstToLastMs: upToDateAtMs - beganAtMs,
    firstToSubscribedMs: subscribedAtMs - beganAtMs,
    expected: ledger.expected(publisher.sent),
    lost: ledger.skipped + ledger.outstanding(publisher.sent),
    duplicated: ledger.duplicated,
    generatorBusy: (used.user + used.system) / (upToDateAtMs - beganAtMs) / 1000,
    lagP99Ms: publisher.lag.percentile(0.99),
  };
}
