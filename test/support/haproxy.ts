import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../deploy/local/process.ts";
import type { Stage } from "./servers.ts";

/** Between HAProxy and a node: what was asked of the node, and what it answered. */
export class Tap {
  asked = "";
  answered = "";
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(target: number) {
    this.#server = createServer((near) => {
      const far = connect({ port: target, host: "127.0.0.1" });
      near.on("data", (chunk) => {
        this.asked += chunk.toString("latin1");
        far.write(chunk);
      });
      far.on("data", (chunk) => {
        this.answered += chunk.toString("latin1");
        near.write(chunk);
      });
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on("error", () => {}); // followed by `close`
        socket.on("close", () => {
          this.#sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
      }
    });
  }

  static async start(target: number): Promise<Tap> {
    const tap = new Tap(target);
    tap.#server.listen(0, "127.0.0.1");
    await once(tap.#server, "listening");
    return tap;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** How many requests the node saw. */
  get answers(): number[] {
    return statuses(this.answered);
  }

  clear(): void {
    this.asked = this.answered = "";
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Of all answers in what came over a connection. */
export function statuses(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

/** Sends all of it. What is answered until the connection ends, or nothing has come for `quietMs` after the first bytes. */
export async function listen(port: number, bytes: string | Buffer, quietMs = 250): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1" });
  let text = "";
  await new Promise<void>((resolve) => {
    let timer = setTimeout(resolve, 8_000);
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      clearTimeout(timer);
      timer = setTimeout(resolve, quietMs);
    });
    socket.on("error", () => {}); // followed by `close`
    socket.on("close", () => {
      clearTimeout(timer);
      resolve();
    });
    if (typeof bytes === "string") socket.write(bytes, "latin1");
    else socket.write(bytes);
  });
  socket.destroy();
  return text;
}

/** A file with the repository's configuration, some lines of which, that have to be there, are changed. */
export function variant(stage: Stage, ...changes: [string, string][]): string {
  let text = readFileSync(join(root, "haproxy.cfg"), "utf8");
  for (const [from, to] of changes) {
    if (!text.includes(from)) throw new Error(`haproxy.cfg has no ${from}`);
    text = text.replace(from, to);
  }
  const directory = mkdtempSync(join(tmpdir(), "tidegate-cfg-"));
  stage.add({ stop: () => rmSync(directory, { recursive: true }) });
  const file = join(directory, "haproxy.cfg");
  writeFileSync(file, text);
  return file;
}
