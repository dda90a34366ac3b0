import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import type { Page } from "../../hub/feed.ts";
import { CODES, type Code, RequestError } from "../../protocol/codes.ts";
import { type Position, parseId } from "../../protocol/position.ts";
import type { Publication, Published } from "../../protocol/publication.ts";
import type { HistoryRule } from "../history.ts";
import { unseal } from "./envelope.ts";
import type { Functions } from "./functions.ts";

/** Channels in one question. */
const BATCH = 500;
/** Bytes in one page, about. */
const PAGE_BYTES = 1024 * 1024;

const afterThisTick = promisify(setImmediate);

export interface HistoryLogOptions {
  readonly prefix: string;
  readonly rules: readonly HistoryRule[];
  readonly maxEventBytes: number;
}

/** The history of channels, in Redis. */
export class HistoryLog {
  readonly #functions: Functions;
  readonly #prefix: string;
  /** For what publishes without a node. */
  readonly #policy: string;
  readonly #seed = randomBytes(16).toString("hex");
  /** Channels whose head is asked for in this turn. */
  #asked: { channels: string[]; answer: Promise<readonly (Position | undefined)[]> } | undefined;

  constructor(functions: Functions, { prefix, rules, maxEventBytes }: HistoryLogOptions) {
    this.#functions = functions;
    this.#prefix = prefix;
    const history = rules.map(({ pattern, size, timeMs }) => [pattern, size, timeMs]);
    this.#policy = JSON.stringify({ bytes: maxEventBytes, history });
  }

  /** Sees that Redis has the library, and the policy: on a new connection this node's, else one at least. */
  async hello(isNew: boolean): Promise<void> {
    await this.#functions.load();
    await this.#functions.call(
      "tidegate_hello",
      [],
      [this.#prefix, this.#policy, isNew ? "1" : "0", this.#seed],
    );
  }

  /** @throws {RequestError} key_reused @throws {Error} of Redis */
  async publish({ channel, type, data, sender, except, key, traceparent }: Publication): Promise<Published> {
    const isText = typeof data === "string";
    const args = [
      type,
      isText ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength),
      isText ? "t" : "b",
      sender === undefined ? "" : JSON.stringify(sender),
      except ?? "",
      key?.name ?? "",
      key?.scope ?? "",
      traceparent ?? "",
    ];
    const answer = await this.#call("tidegate_append", channel, args);
    const [id, listeners, repeated] = answer as [Buffer, number, number];
    return {
      id: id.length > 0 ? id.toString("latin1") : undefined,
      listeners: Number(listeners),
      repeated: Number(repeated) === 1,
    };
  }

  /** Those asked for in one turn go out together. */
  async head(channel: string): Promise<Position | undefined> {
    if (!this.#asked || this.#asked.channels.length >= BATCH) {
      const channels: string[] = [];
      this.#asked = { channels, answer: this.#heads(channels) };
    }
    const { channels, answer } = this.#asked;
    const index = channels.push(channel) - 1;
    return (await answer)[index];
  }

  async #heads(channels: readonly string[]): Promise<readonly (Position | undefined)[]> {
    await afterThisTick();
    if (this.#asked?.channels === channels) this.#asked = undefined;
    const keys = channels.map((channel) => this.#key(channel));
    const ids = (await this.#functions.call("tidegate_heads", keys, [])) as Buffer[];
    return ids.map((id) => parseId(id.toString("latin1")));
  }

  async fork(channel: string, { epoch, offset, check }: Position): Promise<Position | undefined> {
    const head = (await this.#call("tidegate_fork", channel, [epoch, offset, check])) as Buffer;
    return parseId(head.toString("latin1"));
  }

  async forget(channel: string): Promise<Position | undefined> {
    const beginning = (await this.#call("tidegate_forget", channel, [])) as Buffer;
    return parseId(beginning.toString("latin1"));
  }

  async readAfter(channel: string, offset: number, limit: number): Promise<Page> {
    return await this.#read(channel, "after", offset, limit);
  }

  async readBefore(channel: string, offset: number, limit: number): Promise<Page> {
    return await this.#read(channel, "before", offset, limit);
  }

  /** What is damaged ends the page: what lies behind it cannot be joined to what lies before. */
  async #read(channel: string, direction: string, offset: number, limit: number): Promise<Page> {
    const args = [direction, offset, limit, PAGE_BYTES];
    const [head, ...envelopes] = (await this.#call("tidegate_read", channel, args)) as Buffer[];
    const events = [];
    for (const envelope of envelopes) {
      const event = unseal(channel, envelope);
      if (!event) break;
      events.push(event);
    }
    return { head: parseId(head?.toString("latin1")), events };
  }

  async #call(name: string, channel: string, args: readonly (string | number | Buffer)[]): Promise<unknown> {
    try {
      return await this.#functions.call(name, [this.#key(channel)], args);
    } catch (error) {
      throw refusal(error);
    }
  }

  #key(channel: string): string {
    return `${this.#prefix}:${channel}`;
  }
}

/** What the library refuses, as our own error. */
function refusal(error: unknown): unknown {
  const [, code, message] = /^TIDEGATE (\w+) (.*)$/s.exec((error as Error).message) ?? [];
  return code !== undefined && code in CODES ? new RequestError(code as Code, message) : error;
}
