import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { cleanEnvironment } from "../../deploy/local/node.ts";
import { freePort, Process, root } from "../../deploy/local/process.ts";
import type { Stage } from "./servers.ts";

export interface RunOptions {
  cwd?: string;
  /** Beside the environment of the tests, of which no TIDEGATE_* is passed on. */
  env?: Record<string, string>;
  input?: string | Buffer;
  timeoutMs?: number;
}

export interface Outcome {
  /** Null when it had to be killed. */
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  const { cwd, env, input = "", timeoutMs = 15_000 } = options;
  const child = spawn(command, args, {
    ...(cwd !== undefined && { cwd }),
    env: { ...cleanEnvironment(), ...env },
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  child.stdin.on("error", () => {}); // it may end without reading
  child.stdin.end(input);
  const code = new Promise<number | null>((resolve, reject) =>
    child.once("error", reject).once("close", resolve),
  );
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await code, stdout, stderr };
}

const bin = join(root, "bin/tidegate.js");

/** `tidegate …` to its end, by default in a folder where no node keeps its development secret. */
export function tidegate(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return run(process.execPath, [bin, ...args], { cwd: tmpdir(), ...options });
}

/** A running `tidegate …`, which listens on free ports if it does. */
export function startTidegate(
  stage: Stage,
  cwd: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Process {
  const command = ["-C", cwd, process.execPath, bin, ...args];
  const ports = { TIDEGATE_PORT: "0", TIDEGATE_ADMIN_PORT: "0" };
  return stage.add(
    new Process("tidegate", "env", command, { env: { ...cleanEnvironment(), ...ports, ...env } }),
  );
}

/** An empty folder. */
export function folder(stage: Stage): string {
  const path = mkdtempSync(join(tmpdir(), "tidegate-test-"));
  stage.add({ stop: () => rmSync(path, { recursive: true, force: true }) });
  return path;
}

/** A port on which somebody else listens. */
export async function takenPort(stage: Stage): Promise<number> {
  const port = await freePort();
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  stage.add({ stop: () => server.close() });
  return port;
}
