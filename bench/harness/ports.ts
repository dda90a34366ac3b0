import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Child } from "./child.ts";

const START_PATIENCE_MS = 15_000;

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Waits until `isReady`, or fails with what the process said. */
export async function untilReady(child: Child, isReady: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + START_PATIENCE_MS;
  while (!(await isReady())) {
    if (child.exited) throw new Error(`${child.process.spawnargs.join(" ")} ended:\n${child.output}`);
    if (performance.now() > deadline) {
      throw new Error(`${child.process.spawnargs.join(" ")} is not ready:\n${child.output}`);
    }
    await sleep(50);
  }
}

export async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const accepted = await once(socket, "connect").then(
    () => true,
    () => false,
  );
  socket.destroy();
  return accepted;
}
