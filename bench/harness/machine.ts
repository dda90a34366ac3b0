import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release } from "node:os";

export interface Machine {
  cpu: string;
  cores: number;
  kernel: string;
  node: string;
  redis: string;
  packages: Record<string, string>;
}

export function describeMachine(): Machine {
  const redis = execFileSync("redis-server", ["--version"], { encoding: "utf8" });
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    kernel: release(),
    node: process.version,
    redis: /v=(\S+)/.exec(redis)?.[1] ?? redis,
    packages: { "uWebSockets.js": version("uWebSockets.js"), ioredis: version("ioredis") },
  };
}

function version(name: string): string {
  const manifest = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version;
}

/** What a run needs of the machine, said before it begins rather than by a failure in its middle. */
export function requireTools(): void {
  if (process.platform !== "linux" || cpus().length < 2) {
    throw new Error("the benchmark reads /proc and pins processes: it needs Linux and two cores");
  }
  for (const [tool, packageName] of [
    ["taskset", "util-linux"],
    ["redis-server", "redis-server"],
  ] as const) {
    if (!hasTool(tool)) throw new Error(`${tool} is missing: apt-get install ${packageName}`);
  }
}

export function hasTool(tool: string, question = "--version"): boolean {
  try {
    execFileSync(tool, [question], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
