import type { FromLoad, Job, ToLoad } from "../load/job.ts";
import type { ResultOf } from "../load/result.ts";
import { Child } from "./child.ts";
import { LOAD_CORE } from "./cores.ts";
import { LOAD } from "./paths.ts";

/**
 * Runs one job in a generator process of its own; `whenReady` happens when all is connected: before the first event, or
 * while events flow that came before it.
 */
export async function runLoad<J extends Job>(
  job: J,
  whenReady: () => Promise<void> = async () => {},
  core = LOAD_CORE,
): Promise<ResultOf[J["task"]]> {
  const child = new Child(core, [process.execPath, LOAD], { ipc: true });
  const tell = (message: ToLoad): boolean => child.process.send(message);
  try {
    return await new Promise((resolve, reject) => {
      child.process.on("message", (message: FromLoad) => {
        if ("error" in message) reject(new Error(message.error));
        else if ("result" in message) resolve(message.result as ResultOf[J["task"]]);
        else whenReady().then(() => tell({ go: true }), reject);
      });
      child.process.on("exit", () => reject(new Error(`the load generator ended:\n${child.output}`)));
      tell({ job });
    });
  } finally {
    await child.stop();
  }
}
