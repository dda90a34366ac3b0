import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** libfaketime, where the package `faketime` put it. */
const LIBRARY = ["/usr/lib", ...architectures(), "/usr/local/lib"]
  .map((directory) => join(directory, "faketime/libfaketimeMT.so.1"))
  .find((file) => existsSync(file));

/** For people: why no clock can be wrong here; undefined when it can. */
export const NO_WRONG_CLOCKS =
  LIBRARY === undefined ? "needs libfaketime (apt-get install faketime)" : undefined;

/**
 * The time of day of a process that runs with `env`. The monotonic clock, which timers go by, stays right, as it does when
 * a machine's time is set.
 */
export class WrongClock {
  readonly env: Record<string, string>;
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.env = {
      LD_PRELOAD: LIBRARY as string,
      FAKETIME_TIMESTAMP_FILE: join(directory, "offset"),
      FAKETIME_CACHE_DURATION: "1", // seconds between two looks into the file
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    };
  }

  /** @param offset such as `+1d` or `-90m` */
  static async start(offset: string): Promise<WrongClock> {
    const clock = new WrongClock(await mkdtemp(join(tmpdir(), "tidegate-clock-")));
    await clock.set(offset);
    return clock;
  }

  /** The process sees it within a second. */
  async set(offset: string): Promise<void> {
    await writeFile(join(this.#directory, "offset"), `${offset}\n`);
  }

  async stop(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }
}

function architectures(): string[] {
  return (existsSync("/usr/lib") ? readdirSync("/usr/lib") : [])
    .filter((name) => name.includes("-linux-"))
    .map((name) => join("/usr/lib", name));
}
