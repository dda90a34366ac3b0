import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { type ClientOptions as SocketOptions, WebSocket } from "ws";

/** A frame of the server. Of a binary one `payload` is what follows the JSON. */
export interface Frame {
  type: string;
  payload?: Buffer;
  [field: string]: unknown;
}

export interface ClientOptions extends SocketOptions {
  /** Goes into `Authorization`. */
  token?: string;
  /** `?channel=…` */
  channels?: string[];
  protocols?: string[];
}

export interface Closed {
  code: number;
  reason: string;
}

/** What a refused handshake was answered. */
export class Refused extends Error {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  constructor(response: IncomingMessage, body: string) {
    super(`refused: ${response.statusCode} ${body}`);
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
    this.body = body;
  }
}

/** A client of the `ws` library. It keeps every frame from the first one on, so that no test can miss one. */
export class Client {
  readonly socket: WebSocket;
  /** All frames, and the text ones as they came. */
  readonly frames: Frame[] = [];
  readonly texts: string[] = [];
  /** Cookies of the answer to the handshake. */
  cookies: string[] = [];
  readonly opened: Promise<void>;
  readonly closed: Promise<Closed>;
  /** Where `next` goes on. */
  #position = 0;
  #refs = 0;
  #wake: (() => void)[] = [];
  #closed: Closed | undefined;

  constructor(url: string, options: ClientOptions = {}) {
    const { token, channels = [], protocols = [], headers, ...rest } = options;
    const target = new URL(url);
    for (const channel of channels) target.searchParams.append("channel", channel);
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    this.socket = new WebSocket(target, protocols, {
      perMessageDeflate: false,
      headers: { ...authorization, ...headers },
      ...rest,
    });
    this.socket.on("message", (data, isBinary) => this.#receive(data as Buffer, isBinary));
    this.socket.on("upgrade", (response) => {
      this.cookies = response.headers["set-cookie"] ?? [];
    });
    this.opened = new Promise((resolve, reject) => {
      this.socket.on("open", resolve);
      this.socket.on("error", reject);
      this.socket.on("unexpected-response", (_request, response) => {
        void text(response).then((body) => reject(new Refused(response, body)), reject);
      });
    });
    this.opened.catch(() => {}); // who does not wait for it hears of it by `closed`
    this.closed = new Promise((resolve) => {
      this.socket.on("close", (code, reason) => {
        this.#closed = { code, reason: reason.toString() };
        this.#awake();
        resolve(this.#closed);
      });
    });
  }

  /** Resolves after `welcome`, which `next` passes by then. @throws {Refused} */
  static async connect(url: string, options?: ClientOptions): Promise<Client> {
    const client = new Client(url, options);
    try {
      await client.opened;
      await client.next("welcome");
      return client;
    } catch (error) {
      client.stop();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /** The first frame, past or to come, behind the one that `next` gave last. */
  async next(wanted?: string | ((frame: Frame) => boolean), timeoutMs = 5_000): Promise<Frame> {
    const matches = typeof wanted === "string" ? (frame: Frame) => frame.type === wanted : wanted;
    const end = performance.now() + timeoutMs;
    for (;;) {
      while (this.#position < this.frames.length) {
        const frame = this.frames[this.#position++] as Frame;
        if (!matches || matches(frame)) return frame;
      }
      const left = end - performance.now();
      if (left <= 0 || this.#closed) throw new Error(this.#describe(String(wanted ?? "frame"), timeoutMs));
      await this.#change(left);
    }
  }

  /** Sends a command with a `ref`, and gives the reply to it. */
  async request(command: object): Promise<Frame> {
    const ref = `r${++this.#refs}`;
    this.send({ ...command, ref });
    return this.next((frame) => frame.ref === ref);
  }

  send(frame: object | string | Buffer): void {
    this.socket.send(typeof frame === "string" || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame));
  }

  /** All events of a channel so far: the frames that have a timestamp. */
  events(channel: string): Frame[] {
    return this.frames.filter((frame) => frame.timestamp !== undefined && frame.channel === channel);
  }

  /** Ends it without ado. */
  stop(): void {
    this.socket.terminate();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (isBinary) {
      const length = data.readUInt16BE(0);
      const head = JSON.parse(data.toString("utf8", 2, 2 + length)) as Frame;
      this.frames.push({ ...head, payload: data.subarray(2 + length) });
    } else {
      const line = data.toString();
      this.texts.push(line);
      this.frames.push(JSON.parse(line) as Frame);
    }
    this.#awake();
  }

  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#wake.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #awake(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  #describe(wanted: string, timeoutMs: number): string {
    const how = this.#closed ? `before the close ${this.#closed.code}` : `in ${timeoutMs} ms`;
    const last = this.frames.slice(-5).map((frame) => JSON.stringify(frame).slice(0, 300));
    return [`no ${wanted} ${how}; the last of ${this.frames.length} frames:`, ...last].join("\n  ");
  }
}

/** The answer to a handshake that must be refused. */
export async function refusal(url: string, options?: ClientOptions): Promise<Refused> {
  const client = new Client(url, options);
  try {
    await client.opened;
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  } finally {
    client.stop();
  }
  throw new Error("the handshake was accepted");
}
