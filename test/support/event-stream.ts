import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";

/** What stands between two empty lines of an event stream (HTML, 9.2.6). */
export interface Block {
  /** Undefined: `message`. */
  event?: string;
  id?: string;
  /** The lines of `data`, joined. */
  data?: string;
  retry?: number;
  /** Comments. */
  comments: string[];
  /** Lines that are none of these. */
  unknown: string[];
}

/** Takes an event stream apart, and loses nothing that a browser would ignore. */
export class BlockParser {
  readonly blocks: Block[] = [];
  #block: Block = empty();
  #rest = "";

  push(chunk: string): void {
    const lines = (this.#rest + chunk).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    if (line === "") {
      this.blocks.push(this.#block);
      this.#block = empty();
      return;
    }
    const [, name = "", value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    const block = this.#block;
    if (name === "") block.comments.push(value);
    else if (name === "event" || name === "id") block[name] = value;
    else if (name === "data") block.data = block.data === undefined ? value : `${block.data}\n${value}`;
    else if (name === "retry") block.retry = Number(value);
    else block.unknown.push(line);
  }
}

function empty(): Block {
  return { comments: [], unknown: [] };
}

export interface EventStreamOptions {
  /** Goes into `Authorization`. */
  token?: string;
  lastEventId?: string | undefined;
  headers?: Record<string, string>;
  method?: string;
}

function ask(
  url: string,
  { token, lastEventId, headers, method = "GET" }: EventStreamOptions,
): ClientRequest {
  return request(url, {
    method,
    agent: false,
    headers: {
      accept: "text/event-stream",
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(lastEventId !== undefined && { "last-event-id": lastEventId }),
      ...headers,
    },
  });
}

/** An answer that is no open stream. */
export interface PlainAnswer {
  status: number;
  headers: IncomingMessage["headers"];
  body: string;
}

/** A client of an event stream. It keeps every block from the first one on, so that no test can miss one. */
export class EventStream {
  readonly url: string;
  readonly #parser = new BlockParser();
  readonly #request: ClientRequest;
  /** Once the head is there. */
  readonly opened: Promise<IncomingMessage>;
  /** However it ended: true when as HTTP has it, false when it was cut off. */
  readonly ended: Promise<boolean>;
  isEnded = false;
  #position = 0;
  #wake: (() => void)[] = [];

  constructor(url: string, options: EventStreamOptions = {}) {
    this.url = url;
    this.#request = ask(url, options);
    this.opened = new Promise((resolve, reject) => {
      this.#request.once("response", resolve).once("error", reject);
    });
    this.ended = this.opened.then(
      (response) => this.#read(response),
      () => false,
    );
    void this.ended.then(() => {
      this.isEnded = true;
      this.#awake();
    });
    this.#request.end();
  }

  /** The stream is open, and its first block is there, which `next` passes by then. One that is told to come back fails. */
  static async open(url: string, options?: EventStreamOptions): Promise<EventStream> {
    const stream = new EventStream(url, options);
    try {
      await stream.opened;
      const { event, data } = await stream.next(({ retry }) => retry !== undefined);
      if (event !== undefined) throw new Error(`refused: ${event} ${data}`);
      return stream;
    } catch (error) {
      stream.stop();
      throw error;
    }
  }

  get blocks(): readonly Block[] {
    return this.#parser.blocks;
  }

  /** The last one, as a browser would send it. */
  get lastId(): string | undefined {
    return this.blocks.findLast(({ id }) => id !== undefined)?.id;
  }

  /** Those with data, which a browser would dispatch, but the one that every stream begins with. */
  get events(): readonly Block[] {
    return this.blocks.filter(({ event, data }) => data !== undefined && event !== "$welcome");
  }

  /** Passes `next` by what stands in front of it. */
  async welcome(): Promise<{ connection: string; node: string; user: string; heartbeat: number }> {
    const { data = "" } = await this.next("$welcome");
    return JSON.parse(data);
  }

  /** The data of all that was published, as JSON. */
  get data(): unknown[] {
    return this.events
      .filter(({ event }) => !event?.startsWith("$"))
      .map(({ data = "" }) => JSON.parse(data));
  }

  /** The first block, past or to come, behind the one that `next` gave last. */
  async next(wanted: string | ((block: Block) => boolean), timeoutMs = 5_000): Promise<Block> {
    const matches = typeof wanted === "string" ? ({ event }: Block) => event === wanted : wanted;
    const end = performance.now() + timeoutMs;
    for (;;) {
      while (this.#position < this.blocks.length) {
        const block = this.blocks[this.#position++] as Block;
        if (matches(block)) return block;
      }
      const left = end - performance.now();
      if (left <= 0 || this.isEnded) throw new Error(this.#describe(String(wanted)));
      await this.#change(left);
    }
  }

  pause(): void {
    this.#request.socket?.pause();
  }

  resume(): void {
    this.#request.socket?.resume();
  }

  stop(): void {
    this.#request.destroy();
  }

  #read(response: IncomingMessage): Promise<boolean> {
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => {
      this.#parser.push(chunk);
      this.#awake();
    });
    response.on("error", () => {}); // followed by `close`
    return new Promise((resolve) => response.on("close", () => resolve(response.complete)));
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

  #describe(wanted: string): string {
    const last = this.blocks.slice(-5).map((block) => JSON.stringify(block).slice(0, 300));
    const how = this.isEnded ? "before the end" : "in time";
    return [`no ${wanted} ${how}; the last of ${this.blocks.length} blocks:`, ...last].join("\n  ");
  }
}

/** The whole answer to a request for a stream that is refused, or that ends by itself. */
export async function answerOf(url: string, options: EventStreamOptions = {}): Promise<PlainAnswer> {
  const asked = ask(url, options);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    asked.once("response", resolve).once("error", reject);
    asked.setTimeout(10_000, () => reject(new Error("no answer in 10 s")));
    asked.end();
  });
  const { statusCode = 0 } = response;
  return { status: statusCode, headers: response.headers, body: await text(response) };
}

/** The blocks of a body. */
export function blocksIn(body: string): Block[] {
  const parser = new BlockParser();
  parser.push(body);
  return parser.blocks;
}

/** `/v1/channels/{channel}/events` of one, `/v1/events` of several. */
export function streamUrl(base: string, ...channels: string[]): string {
  const [only] = channels;
  if (channels.length === 1 && only !== undefined) return `${base}/v1/channels/${only}/events`;
  return manyUrl(base, ...channels);
}

/** A stream of many channels, be it of one. */
export function manyUrl(base: string, ...channels: string[]): string {
  return `${base}/v1/events?${channels.map((channel) => `channel=${encodeURIComponent(channel)}`).join("&")}`;
}
