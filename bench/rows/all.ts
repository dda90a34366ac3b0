import { cpuRows } from "./fanout-cpu.ts";
import { latencyRows } from "./fanout-latency.ts";
import { handshakes } from "./handshakes.ts";
import { highestRate } from "./highest-rate.ts";
import { memory } from "./memory.ts";
import type { Row } from "./row.ts";
import { writes } from "./writes.ts";

export const rows: Row[] = [...cpuRows, writes, ...latencyRows, highestRate, memory, handshakes];
