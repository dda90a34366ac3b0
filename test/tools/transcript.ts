import { request as httpRequest, type IncomingMessage } from "node:http";
import { text as readText } from "node:stream/consumers";
import jsonwebtoken from "jsonwebtoken";
import { expect } from "vitest";
import { WebSocket } from "ws";

/** Runs the transcripts of conformance/, whose README says what each step means. */

export interface TranscriptFile {
  readonly title: string;
  readonly server?: Readonly<Record<string, string>>;
  readonly tokens?: Readonly<Record<string, TokenDescription>>;
  readonly transcripts: readonly Transcript[];
}

export interface Transcript {
  readonly name: string;
  readonly steps: readonly Step[];
}

interface TokenDescription {
  readonly claims: object;
  readonly expires_in: number;
  readonly signed_with?: "another secret";
}

interface Answer {
  readonly status: number;
  readonly headers?: unknown;
  readonly body?: unknown;
}

interface BinaryFrame {
  readonly json?: unknown;
  readonly base64: string;
}

interface Connect {
  readonly query?: string;
  readonly headers?: Record<string, string>;
  readonly subprotocols?: string[];
  readonly pongs?: false;
  readonly accepted?: { readonly subprotocol: string };
  readonly refused?: Answer;
}

interface Request {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
  readonly repeat?: number;
}

/** One of the first group, with what may stand beside it. */
export interface Step {
  readonly connect?: Connect;
  readonly send?: unknown;
  readonly send_text?: string;
  readonly send_binary?: BinaryFrame;
  readonly expect?: unknown;
  readonly expect_in_any_order?: readonly unknown[];
  readonly expect_binary?: BinaryFrame;
  readonly expect_close?: { readonly code: number; readonly reason?: string };
  readonly disconnect?: true;
  readonly request?: Request;
  readonly server?: "stop";

  readonly on?: string;
  readonly answer?: Answer;
  readonly text?: string;
  /** Name → field of the frame or body. */
  readonly remember?: Readonly<Record<string, string>>;
  readonly skipping?: unknown;
  readonly repeat?: number;
  readonly times?: number;
  readonly within_ms?: number;
}

/** The server under test. */
export interface Subject {
  /** `http://host:port` */
  readonly url: string;
  readonly secret: string;
  stop(): void;
}

/** What came: a text frame, a binary one, or the end. */
type Happening = { text: string } | { binary: Buffer } | { code: number; reason: string };

const PATIENCE_MS = 5_000;

/** @throws {Error} naming the step that went another way */
export async function runTranscript(
  file: TranscriptFile,
  transcript: Transcript,
  subject: Subject,
): Promise<void> {
  const run = new Run(file, subject);
  try {
    for (const [i, step] of transcript.steps.entries()) {
      try {
        for (let n = 0; n < (step.times ?? 1); n++) await run.take(step);
      } catch (error) {
        const what = `step ${i + 1}: ${JSON.stringify(step)}`;
        throw new Error(`${what}\n${(error as Error).message}`, { cause: error });
      }
    }
    await run.expectNothingLeft();
  } finally {
    run.close();
  }
}

class Run {
  readonly #file: TranscriptFile;
  readonly #subject: Subject;
  readonly #clients = new Map<string, Client>();
  readonly #remembered = new Map<string, string>();

  constructor(file: TranscriptFile, subject: Subject) {
    this.#file = file;
    this.#subject = subject;
  }

  async take(raw: Step): Promise<void> {
    const step = this.#withTokens(raw) as Step;
    const { on = "", within_ms = PATIENCE_MS } = step;
    if (step.connect) await this.#connect(on, step.connect);
    else if (step.send !== undefined) this.#client(on).socket.send(JSON.stringify(step.send));
    else if (step.send_text !== undefined)
      this.#client(on).socket.send(step.send_text.repeat(step.repeat ?? 1));
    else if (step.send_binary) this.#client(on).socket.send(joined(step.send_binary));
    else if (step.expect !== undefined) await this.#expectFrame(on, step, within_ms);
    else if (step.expect_in_any_order) await this.#expectInAnyOrder(on, step.expect_in_any_order, within_ms);
    else if (step.expect_binary) await this.#expectBinary(on, step.expect_binary, within_ms);
    else if (step.expect_close) await this.#expectClose(on, step, within_ms);
    else if (step.disconnect) this.#client(on).close();
    else if (step.request && step.answer) {
      const answer = await ask(this.#subject.url, step.request);
      compare(answer, step.answer);
      this.#remember(step, answer.body);
    } else if (step.server === "stop") this.#subject.stop();
    else throw new Error("this is no step that conformance/README.md knows");
  }

  async expectNothingLeft(): Promise<void> {
    for (const [name, client] of this.#clients) {
      if (client.socket.readyState !== WebSocket.OPEN) continue;
      client.socket.send('{"type":"ping","ref":"the end"}');
      const next = await client.next(PATIENCE_MS);
      expect(next, `left over on connection "${name}"`).toEqual({ text: '{"type":"pong","ref":"the end"}' });
    }
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }

  #client(name: string): Client {
    const client = this.#clients.get(name);
    if (!client) throw new Error(`nobody is connected as "${name}"`);
    return client;
  }

  async #connect(
    name: string,
    { query, headers = {}, subprotocols = [], pongs, accepted, refused }: Connect,
  ): Promise<void> {
    const url = `${this.#subject.url.replace("http", "ws")}/ws${query === undefined ? "" : `?${query}`}`;
    const client = new Client(url, subprotocols, headers, pongs !== false);
    const answer = await client.opened;
    if (refused) {
      if (!answer) throw new Error("the handshake was accepted");
      return compare(answer, refused);
    }
    if (answer) throw new Error(`the handshake was refused: ${JSON.stringify(answer)}`);
    this.#clients.set(name, client);
    if (accepted) compare({ subprotocol: client.socket.protocol }, accepted);
  }

  async #expectFrame(on: string, step: Step, withinMs: number): Promise<void> {
    const { expect: expected, skipping, text } = step;
    let frame = await this.#client(on).text(withinMs);
    while (skipping !== undefined && matches(JSON.parse(frame), skipping))
      frame = await this.#client(on).text(withinMs);
    compare(JSON.parse(frame), expected);
    if (text !== undefined) expect(frame).toContain(text);
    this.#remember(step, JSON.parse(frame));
  }

  #remember({ remember = {} }: Step, from: unknown): void {
    for (const [name, field] of Object.entries(remember))
      this.#remembered.set(name, String((from as Record<string, unknown>)[field]));
  }

  async #expectClose(on: string, { expect_close, skipping }: Step, withinMs: number): Promise<void> {
    let next = await this.#client(on).next(withinMs);
    while (skipping !== undefined && "text" in next && matches(JSON.parse(next.text), skipping)) {
      next = await this.#client(on).next(withinMs);
    }
    compare(next, expect_close);
  }

  async #expectInAnyOrder(on: string, expected: readonly unknown[], withinMs: number): Promise<void> {
    const left = [...expected];
    while (left.length > 0) {
      const frame: unknown = JSON.parse(await this.#client(on).text(withinMs));
      const at = left.findIndex((one) => matches(frame, one));
      if (at < 0) throw new Error(`${JSON.stringify(frame)} is none of ${JSON.stringify(left)}`);
      left.splice(at, 1);
    }
  }

  async #expectBinary(on: string, { json, base64 }: BinaryFrame, withinMs: number): Promise<void> {
    const next = await this.#client(on).next(withinMs);
    if (!("binary" in next)) throw new Error(`instead of a binary frame came ${JSON.stringify(next)}`);
    const length = next.binary.readUInt16BE(0);
    compare(JSON.parse(next.binary.toString("utf8", 2, 2 + length)), json);
    expect(next.binary.toString("base64", 2 + length)).toBe(base64);
  }

  /** The step with each `$token:…` and `$remembered:…` replaced; the longest name counts, since names may have spaces. */
  #withTokens(value: unknown): unknown {
    if (typeof value === "string") return this.#tokensIn(value);
    if (Array.isArray(value)) return value.map((item) => this.#withTokens(item));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#withTokens(item)]));
  }

  #tokensIn(text: string): string {
    const { tokens = {} } = this.#file;
    const names = Object.keys(tokens).sort((a, b) => b.length - a.length);
    const known = text.replaceAll(/\$remembered:([a-z]+)/g, (_all, name: string) => {
      const found = this.#remembered.get(name);
      if (found === undefined) throw new Error(`nothing is remembered as "${name}"`);
      return found;
    });
    return names.reduce(
      (done, name) => done.replaceAll(`$token:${name}`, () => this.#token(tokens[name])),
      known,
    );
  }

  #token(description: TokenDescription | undefined): string {
    const { claims, expires_in, signed_with } = description as TokenDescription;
    const secret = signed_with === undefined ? this.#subject.secret : `another ${this.#subject.secret}`;
    const exp = Math.floor(Date.now() / 1000) + expires_in;
    return jsonwebtoken.sign({ ...claims, exp }, secret, { noTimestamp: true });
  }
}

class Client {
  readonly socket: WebSocket;
  /** What a refused handshake was answered; undefined when it was accepted. */
  readonly opened: Promise<HttpAnswer | undefined>;
  readonly #happened: Happening[] = [];
  #wake = () => {};

  constructor(url: string, subprotocols: string[], headers: Record<string, string>, pongs: boolean) {
    this.socket = new WebSocket(url, subprotocols, { headers, autoPong: pongs, perMessageDeflate: false });
    this.socket.on("message", (data: Buffer, isBinary) => {
      this.#happen(isBinary ? { binary: data } : { text: data.toString() });
    });
    this.socket.on("close", (code, reason) => this.#happen({ code, reason: reason.toString() }));
    this.opened = new Promise((resolve, reject) => {
      this.socket.on("open", () => resolve(undefined));
      this.socket.on("error", reject);
      this.socket.on("unexpected-response", (_request, response) => resolve(answerOf(response)));
    });
  }

  #happen(happening: Happening): void {
    this.#happened.push(happening);
    this.#wake();
  }

  /** What comes next, in the order it came. */
  async next(withinMs: number): Promise<Happening> {
    const end = performance.now() + withinMs;
    for (;;) {
      const happening = this.#happened.shift();
      if (happening) return happening;
      const left = end - performance.now();
      if (left <= 0) throw new Error(`nothing came within ${withinMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async text(withinMs: number): Promise<string> {
    const next = await this.next(withinMs);
    if (!("text" in next)) throw new Error(`instead of a text frame came ${JSON.stringify(next)}`);
    return next.text;
  }

  close(): void {
    this.socket.on("error", () => {});
    this.socket.close();
  }
}

interface HttpAnswer {
  readonly status: number | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
}

function ask(url: string, { method = "GET", path, headers, body, repeat = 1 }: Request): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(new URL(path, url), { method, headers: { ...headers }, agent: false });
    request.on("error", reject);
    request.on("response", (response) => resolve(answerOf(response)));
    request.on("upgrade", ({ statusCode, headers }, socket) => {
      socket.destroy();
      resolve({ status: statusCode, headers, body: undefined });
    });
    if (body === undefined) request.end();
    else request.end(typeof body === "string" ? body.repeat(repeat) : JSON.stringify(body));
  });
}

async function answerOf(response: IncomingMessage): Promise<HttpAnswer> {
  const text = await readText(response);
  const isJson = /json/.test(response.headers["content-type"] ?? "");
  return { status: response.statusCode, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

function joined({ json, base64 }: BinaryFrame): Buffer {
  const payload = Buffer.from(base64, "base64");
  if (json === undefined) return payload;
  const head = Buffer.from(JSON.stringify(json));
  const length = Buffer.alloc(2);
  length.writeUInt16BE(head.length);
  return Buffer.concat([length, head, payload]);
}

function compare(found: unknown, expected: unknown): void {
  if (!matches(found, expected)) {
    throw new Error(`expected ${JSON.stringify(expected)}\n   found ${JSON.stringify(found)}`);
  }
}

const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** Whether what was found is as expected, as far as that says. */
export function matches(found: unknown, expected: unknown): boolean {
  switch (expected) {
    case "$any":
      return found !== undefined;
    case "$absent":
      return found === undefined;
    case "$string":
      return typeof found === "string" && found !== "";
    case "$integer":
      return Number.isInteger(found);
    case "$timestamp":
      return typeof found === "string" && TIMESTAMP.test(found);
  }
  if (typeof expected !== "object" || expected === null) return found === expected;
  if (Array.isArray(expected)) {
    return (
      Array.isArray(found) &&
      found.length === expected.length &&
      expected.every((one, i) => matches(found[i], one))
    );
  }
  if ("$between" in expected) {
    const [min, max] = expected.$between as [number, number];
    return typeof found === "number" && found >= min && found <= max;
  }
  if (typeof found !== "object" || found === null || Array.isArray(found)) return false;
  return Object.entries(expected).every(([key, one]) =>
    matches((found as Record<string, unknown>)[key], one),
  );
}
