import { runAttack } from "./attack.ts";
import { runAvalanche } from "./avalanche.ts";
import { runFanout } from "./fanout.ts";
import { runFanoutHistory } from "./fanout-history.ts";
import { runHandshakes } from "./handshakes.ts";
import { runHostileNeighbour } from "./hostile-neighbour.ts";
import { runJitter } from "./jitter.ts";
import type { FromLoad, Job, ToLoad } from "./job.ts";
import { runMemory } from "./memory.ts";
import { runPublishCost } from "./publish-cost.ts";
import { runRefusedHandshakes } from "./refused-handshakes.ts";
import { runRestart } from "./restart.ts";
import type { ResultOf } from "./result.ts";
import { runResumeStorm } from "./resume-storm.ts";
import { runStorm } from "./storm.ts";
import { runStreams } from "./streams.ts";

// One job per process: no connection, timer or heap of an earlier run can colour the next.
let go: () => void = () => {};

process.on("message", (message: ToLoad) => {
  if ("go" in message) return go();
  run(message.job).then(
    (result) => finish({ result }, 0),
    (error: unknown) => finish({ error: error instanceof Error ? error.message : String(error) }, 1),
  );
});
process.on("disconnect", () => process.exit(1));

function run(job: Job): Promise<ResultOf[keyof ResultOf]> {
  switch (job.task) {
    case "fanout":
      return runFanout(job, ready);
    case "memory":
      return runMemory(job, ready);
    case "handshakes":
      return runHandshakes(job, ready);
    case "refused-handshakes":
      return runRefusedHandshakes(job, ready);
    case "storm":
      return runStorm(job, ready);
    case "restart":
      return runRestart(job, ready);
    case "publish-cost":
      return runPublishCost(job, ready);
    case "fanout-history":
      return runFanoutHistory(job, ready);
    case "resume-storm":
      return runResumeStorm(job, ready);
    case "streams":
      return runStreams(job, ready);
    case "jitter":
      return runJitter(job, ready);
    case "avalanche":
      return runAvalanche(job, ready);
    case "hostile-neighbour":
      return runHostileNeighbour(job, ready);
    case "attack":
      return runAttack(job, ready);
  }
}

/** Tells the harness that everything is connected, and waits for its word. */
function ready(): Promise<void> {
  tell({ ready: true });
  return new Promise((resolve) => {
    go = resolve;
  });
}

function tell(message: FromLoad): void {
  process.send?.(message);
}

function finish(message: FromLoad, code: number): void {
  process.send?.(message, () => process.exit(code));
}
