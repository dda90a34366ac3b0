import { readFileSync } from "node:fs";

// USER_HZ: fixed at 100 for every architecture that Node runs on.
const MICROS_PER_TICK = 10_000;

export interface CpuTime {
  userMicros: number;
  systemMicros: number;
}

/** CPU time a process and all its threads have used so far. */
export function cpuTime(pid: number): CpuTime {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The command name may hold spaces and parentheses: count fields from the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return {
    userMicros: Number(fields[11]) * MICROS_PER_TICK,
    systemMicros: Number(fields[12]) * MICROS_PER_TICK,
  };
}

/** Resident memory of a process. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

/** CPU time that all cores together have spent on anything, time stolen by the hypervisor included. */
export function machineBusyMicros(): number {
  const [line] = readFileSync("/proc/stat", "latin1").split("\n") as [string];
  const [user, nice, system, , , irq, softirq, steal] = line.split(/\s+/).slice(1).map(Number) as number[];
  const ticks = [user, nice, system, irq, softirq, steal].reduce<number>(
    (sum, value) => sum + (value ?? 0),
    0,
  );
  return ticks * MICROS_PER_TICK;
}
