import { avalanche } from "./avalanche.ts";
import { cpuRows } from "./fanout-cpu.ts";
import { fanoutHistory } from "./fanout-history.ts";
import { latencyRows } from "./fanout-latency.ts";
import { handshakes } from "./handshakes.ts";
import { highestRate } from "./highest-rate.ts";
import { hostileNeighbour } from "./hostile-neighbour.ts";
import { jitter } from "./jitter.ts";
import { memory } from "./memory.ts";
import { publishHistory } from "./publish-history.ts";
import { reconnectStorm } from "./reconnect-storm.ts";
import { refusedHandshakes } from "./refused-handshakes.ts";
import { resumeStorm } from "./resume-storm.ts";
import { rollingRestart } from "./rolling-restart.ts";
import type { Row } from "./row.ts";
import { sseFanout } from "./sse-fanout.ts";
import { writes } from "./writes.ts";

export const rows: Row[] = [
  ...cpuRows,
  writes,
  ...latencyRows,
  highestRate,
  memory,
  handshakes,
  refusedHandshakes,
  reconnectStorm,
  rollingRestart,
  publishHistory,
  fanoutHistory,
  resumeStorm,
  sseFanout,
  jitter,
  avalanche,
  hostileNeighbour,
];
