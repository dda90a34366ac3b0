import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

const STOP_PATIENCE_MS = 3_000;
const KEPT_OUTPUT = 16_000;
const running = new Set<Child>();

interface ChildOptions {
  env?: Record<string, string>;
  /** Whether we talk with it over Node's IPC channel. */
  ipc?: boolean;
}

/** A process of ours: pinned to a core, its last words kept for the error message, never outliving us. */
export class Child {
  readonly process: ChildProcess;
  readonly #exited: Promise<unknown>;
  #output = "";

  constructor(core: number, command: string[], { env = {}, ipc = false }: ChildOptions = {}) {
    // `exec` by taskset keeps the process id, so what we stop and measure is the program itself.
    this.process = spawn("taskset", ["-c", String(core), ...command], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe", ipc ? "ipc" : "ignore"],
    });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.on("data", (bytes) => {
        this.#output = (this.#output + bytes).slice(-KEPT_OUTPUT);
      });
    }
    this.#exited = once(this.process, "exit");
    running.add(this);
  }

  get pid(): number {
    return this.process.pid as number;
  }

  get output(): string {
    return this.#output;
  }

  get exited(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  /** Ends it, in good time or by force; a node that drains wants more patience. */
  async stop(patienceMs = STOP_PATIENCE_MS): Promise<void> {
    if (this.exited) return void running.delete(this);
    const timer = setTimeout(() => this.process.kill("SIGKILL"), patienceMs);
    this.process.kill("SIGTERM");
    await this.#exited;
    clearTimeout(timer);
    running.delete(this);
  }
}

async function stopAll(): Promise<void> {
  await Promise.all([...running].map((child) => child.stop()));
}

/** A whole bench: whatever becomes of it, also by Ctrl-C, no child outlives it. */
export async function run(main: () => Promise<void>): Promise<void> {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void stopAll().then(() => process.exit(130)));
  }
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  } finally {
    await stopAll();
  }
}
