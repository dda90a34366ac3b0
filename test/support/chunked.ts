import { connect, type Socket } from "node:net";
import { head } from "./raw.ts";

/**
 * Reads an HTTP response in chunks on a bare socket, and checks the framing (RFC 9112, 7.1) byte by byte: an HTTP library
 * would end the connection at the first fault without a word on what was wrong.
 */
export class ChunkedReader {
  readonly socket: Socket;
  readonly opened: Promise<void>;
  /** What is not as it should be, the first few. */
  readonly faults: string[] = [];
  /** Chunks and bytes of data so far. */
  chunks = 0;
  bytes = 0;
  /** The last chunk has come. */
  isComplete = false;
  isClosed = false;
  #rest = Buffer.alloc(0);
  /** Undefined: a chunk's size comes next. */
  #left: number | undefined;
  #isFirst = true;
  #head = "";
  readonly #onChunk: (data: Buffer) => void;

  constructor(port: number, path: string, headers: Record<string, string>, onChunk: (data: Buffer) => void) {
    this.#onChunk = onChunk;
    this.socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.socket.write(
      head(`GET ${path} HTTP/1.1`, { Host: "127.0.0.1", Accept: "text/event-stream", ...headers }),
    );
    this.opened = new Promise((resolve, reject) => {
      this.socket.on("error", reject);
      this.socket.on("data", (chunk) => {
        this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
        if (this.#head === "" && !this.#takeHead()) return;
        this.#takeChunks();
        if (this.chunks > 0) resolve();
      });
      this.socket.on("close", () => {
        this.isClosed = true;
        reject(new Error(`closed: ${this.#head}${this.#rest.toString("latin1").slice(0, 300)}`));
      });
    });
    this.opened.catch(() => {}); // who does not wait for it does not care
  }

  stop(): void {
    this.socket.destroy();
  }

  #takeHead(): boolean {
    const end = this.#rest.indexOf("\r\n\r\n");
    if (end < 0) return false;
    this.#head = this.#rest.toString("latin1", 0, end);
    this.#rest = this.#rest.subarray(end + 4);
    if (!/^HTTP\/1\.1 200 /.test(this.#head)) this.#fault(this.#head);
    if (!/\r\ntransfer-encoding: chunked/i.test(this.#head)) this.#fault("not in chunks");
    return true;
  }

  /** The line break behind a chunk may come with the next one: what the chunk holds does not wait for it. */
  #takeChunks(): void {
    while (this.faults.length === 0 && !this.isComplete) {
      if (this.#left === undefined) {
        const found = /^(\r\n)?([^\r]+)\r\n/.exec(this.#rest.toString("latin1", 0, 100));
        if (!found) return this.#rest.length < 100 ? undefined : this.#fault("no size of a chunk");
        const [line, ending, size = ""] = found;
        if ((ending === undefined) !== this.#isFirst || !/^[0-9a-f]{1,8}$/i.test(size))
          return this.#fault(`a chunk that begins ${JSON.stringify(line)}`);
        this.#isFirst = false;
        this.#left = Number.parseInt(size, 16);
        this.#rest = this.#rest.subarray(line.length);
      }
      if (this.#rest.length < this.#left) return;
      this.chunks++;
      this.bytes += this.#left;
      this.isComplete = this.#left === 0;
      if (!this.isComplete) this.#onChunk(this.#rest.subarray(0, this.#left));
      this.#rest = this.#rest.subarray(this.#left);
      this.#left = undefined;
    }
  }

  #fault(what: string): void {
    this.faults.push(what);
  }
}
