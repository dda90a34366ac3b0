import { connect, type Socket } from "node:net";

const LINE_FEED = 0x0a;
const MINUS = 0x2d;

/** A connection to Redis that only counts the lines of what comes: a client that parsed would take the core it shares. */
export class RedisSocket {
  readonly #socket: Socket;
  #awaitedLines = 0;
  #settle: { resolve(): void; reject(error: Error): void } | null = null;

  constructor(port: number) {
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (bytes) => this.#read(bytes));
    this.#socket.on("error", (error) => this.#settle?.reject(error));
  }

  /** Resolves when so many lines have come; what comes unasked is dropped. */
  ask(commands: string, lines: number): Promise<void> {
    this.#awaitedLines = lines;
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.write(commands, "latin1");
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(bytes: Buffer): void {
    if (this.#settle === null) return;
    if (bytes[0] === MINUS || bytes.includes("\n-")) {
      this.#settle.reject(new Error(`Redis: ${bytes.toString("latin1", 0, 200)}`));
      return;
    }
    for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, at + 1))
      this.#awaitedLines--;
    if (this.#awaitedLines > 0) return;
    const { resolve } = this.#settle;
    this.#settle = null;
    resolve();
  }
}
