import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** The repository. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

export interface ProcessOptions {
  env?: NodeJS.ProcessEnv;
  /** How long `stop` waits after SIGTERM before it sends SIGKILL. */
  graceMs?: number;
  onLine?: (line: string) => void;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

// When this process is killed, nothing may stay behind and hold ports: the kernel ends its children. Elsewhere
// than on Linux an exit does, a SIGKILL does not.
const setpriv = "/usr/bin/setpriv";
const leash =
  process.platform === "linux" && existsSync(setpriv) ? [setpriv, "--pdeathsig", "KILL", "--"] : [];

const running = new Set<Process>();
process.on("exit", () => {
  for (const one of running) one.kill("SIGKILL");
});

/** A process that this one started: its output in lines, its end, and ways to bring it about. */
export class Process {
  /** Lines of stdout and stderr, in the order in which they came. */
  readonly output: string[] = [];
  readonly name: string;
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #graceMs: number;
  readonly #listeners = new Set<(line: string) => void>();
  #exit: Exit | undefined;

  constructor(name: string, command: string, args: string[], options: ProcessOptions = {}) {
    this.name = name;
    this.#graceMs = options.graceMs ?? 5_000;
    if (options.onLine) this.#listeners.add(options.onLine);
    const [file = command, ...rest] = [...leash, command, ...args];
    // A process group of its own, so that Ctrl-C on the terminal reaches only us and we decide the order.
    const child = spawn(file, rest, {
      cwd: root,
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    this.#child = child;
    running.add(this);
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => this.#hear(line));
    }
    this.exited = new Promise((resolve) => {
      const end = (exit: Exit) => {
        this.#exit = exit;
        running.delete(this);
        resolve(exit);
      };
      child.once("error", (error) => {
        this.#hear(`cannot start ${command}: ${error.message}`);
        end({ code: 127, signal: null });
      });
      // "close" comes after the last line of output, "exit" may come before it.
      child.once("close", (code, signal) => end({ code, signal }));
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get isRunning(): boolean {
    return this.#exit === undefined;
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    if (this.isRunning) this.#child.kill(signal);
  }

  /** SIGTERM, and SIGKILL when the grace is over. Resolves when the process is gone; harmless when it was. */
  async stop(): Promise<void> {
    this.kill("SIGTERM");
    this.kill("SIGCONT");
    const late = setTimeout(() => this.kill("SIGKILL"), this.#graceMs);
    await this.exited;
    clearTimeout(late);
  }

  /** The first line, past or to come, that matches. Fails with the output when the process ends before, or is too slow. */
  async line(pattern: RegExp, timeoutMs = 15_000): Promise<string> {
    const past = this.output.find((line) => pattern.test(line));
    if (past !== undefined) return past;
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
        act();
      };
      const listener = (line: string) => {
        if (pattern.test(line)) settle(() => resolve(line));
      };
      const timer = setTimeout(() => {
        settle(() => reject(this.failure(`said nothing like ${pattern} in ${timeoutMs} ms`)));
      }, timeoutMs);
      this.#listeners.add(listener);
      void this.exited.then(() => settle(() => reject(this.failure("ended"))));
    });
  }

  /** An error that tells what became of the process, with the end of its output. */
  failure(what: string): Error {
    const exit = this.#exit;
    const how = exit ? ` (${exit.signal ?? `exit code ${exit.code}`})` : "";
    return new Error([`${this.name} ${what}${how}`, ...this.output.slice(-20)].join("\n  "));
  }

  #hear(line: string): void {
    this.output.push(line);
    for (const listener of this.#listeners) listener(line);
  }
}

/**
 * A port that nobody listens on, below the range from which the system takes ports for outgoing connections and for
 * port 0: between now and the moment our process binds it, nobody gets it by chance. (HAProxy and uWebSockets.js share
 * a taken port without an error, SO_REUSEPORT, so a collision would not even be seen.)
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (await isFree(port)) return port;
  }
}

export function isFree(port: number, host = "127.0.0.1"): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Starts on other ports when the ones it chose were taken meanwhile. */
export async function withFreePorts<T>(start: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start();
    } catch (error) {
      if (attempt === 5 || !/address already in use/i.test(String(error))) throw error;
    }
  }
}

/** Asks until the answer is yes. What it throws counts as no, and is told when time is up. */
export async function until(
  what: string,
  isTrue: () => Promise<boolean> | boolean,
  timeoutMs = 15_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  let cause: unknown;
  while (performance.now() < end) {
    try {
      if (await isTrue()) return;
    } catch (error) {
      cause = error;
    }
    await sleep(25);
  }
  throw new Error(`not in ${timeoutMs} ms: ${what}`, { cause });
}
