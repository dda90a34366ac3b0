import { setTimeout as sleep } from "node:timers/promises";
import { Crowd } from "./crowd.ts";
import type { MemoryJob } from "./job.ts";
import { residentBytes } from "./proc.ts";
import type { MemoryResult } from "./result.ts";

/** Resident memory of the server empty, with a crowd connected, and with further subscriptions on the same crowd. */
export async function runMemory(job: MemoryJob, ready: () => Promise<void>): Promise<MemoryResult> {
  const settled = async (): Promise<number> => {
    await sleep(job.settleMs);
    return residentBytes(job.target.pid);
  };
  // Empty means fresh: code and heap that the first connections bring are theirs to pay.
  const emptyBytes = await settled();
  const crowd = new Crowd(job.target, job.channels);
  await crowd.open(job.sockets);
  const connectedBytes = await settled();
  await ready();
  const furtherSubscriptions = await crowd.subscribeFurther((index) => furtherChannels(job, index));
  const subscribedBytes = await settled();
  if (crowd.closed > 0) throw new Error(`${crowd.closed} connections closed`);
  const connections = crowd.connections.length;
  crowd.drop();
  return { emptyBytes, connectedBytes, subscribedBytes, connections, furtherSubscriptions };
}

function furtherChannels(job: MemoryJob, index: number): string[] {
  const channel = (place: number): string => `shared-${(index + place) % job.furtherChannels}`;
  return Array.from({ length: job.furtherPerSocket }, (_, place) => channel(place));
}
