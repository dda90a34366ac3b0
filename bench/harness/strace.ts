import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Child } from "./child.ts";
import { LOAD_CORE } from "./cores.ts";

const ATTACH_MS = 500;

/** Counts the calls that write to sockets, in a process that runs already. */
export class WriteCalls {
  readonly #folder = mkdtempSync(`${tmpdir()}/write-calls-`);
  readonly #strace: Child;

  private constructor(pid: number) {
    const calls = ["-e", "trace=sendto,sendmsg,writev"];
    this.#strace = new Child(LOAD_CORE, [
      "strace",
      "-f",
      "-c",
      ...calls,
      "-o",
      this.#summary,
      "-p",
      String(pid),
    ]);
  }

  static async attach(pid: number): Promise<WriteCalls> {
    const calls = new WriteCalls(pid);
    await sleep(ATTACH_MS);
    return calls;
  }

  get #summary(): string {
    return `${this.#folder}/summary`;
  }

  /** Detaches; the number of calls, or the reason why there is none. */
  async finish(): Promise<number | string> {
    const early = this.#strace.exited;
    await this.#strace.stop();
    try {
      if (early) return `strace cannot attach: ${this.#strace.output.trim()}`;
      // Rows read: % time, seconds, usecs/call, calls, [errors,] syscall.
      const rows = readFileSync(this.#summary, "latin1").matchAll(
        /^\s*\S+\s+\S+\s+\d+\s+(\d+).*\b(sendto|sendmsg|writev)$/gm,
      );
      return [...rows].reduce((sum, row) => sum + Number(row[1]), 0);
    } finally {
      rmSync(this.#folder, { recursive: true });
    }
  }
}
