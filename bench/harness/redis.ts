import { Child } from "./child.ts";
import { LOAD_CORE } from "./cores.ts";
import { accepts, freePort, untilReady } from "./ports.ts";

export interface Redis {
  port: number;
  pid: number;
}

/** A Redis of our own that keeps nothing. */
export async function startRedis(): Promise<Redis> {
  const port = await freePort();
  const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const child = new Child(LOAD_CORE, ["redis-server", ...options]);
  await untilReady(child, () => accepts(port));
  return { port, pid: child.pid };
}
