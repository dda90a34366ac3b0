import { createHash, randomBytes } from "node:crypto";
import { type EncodedEvent, encode } from "../hub/encoded-event.ts";
import type { Page } from "../hub/feed.ts";
import { RequestError } from "../protocol/codes.ts";
import { formatId, type Position } from "../protocol/position.ts";
import type { Publication } from "../protocol/publication.ts";
import { timestamp } from "../protocol/timestamp.ts";
import { type HistoryRule, historyOf } from "./history.ts";

/** Channels whose position is known at a time: the one that has been quiet for longest is forgotten first. */
const MAX_CHANNELS = 100_000;
/** How much longer than its events the position of a channel is known. */
const POSITION_MS = 24 * 3_600_000;
const KEY_MS = 5 * 60_000;
const MAX_KEYS = 100_000;
/** Bytes of all events together: the oldest of the channel that has been quiet for longest go first. */
const MAX_BYTES = 256 * 1024 * 1024;
const PAGE_BYTES = 1024 * 1024;

interface Entry {
  readonly event: EncodedEvent & { readonly position: Position };
  readonly at: number;
  readonly bytes: number;
}

interface Log {
  head: Position;
  entries: Entry[];
  changedAt: number;
}

/** What Redis does in tidegate.lua, within one process. */
export class MemoryHistory {
  readonly #rules: readonly HistoryRule[];
  /** The one that has been quiet for longest comes first. */
  readonly #logs = new Map<string, Log>();
  readonly #keys = new Map<string, { digest: string; id: string | undefined; until: number }>();
  #bytes = 0;

  constructor(rules: readonly HistoryRule[]) {
    this.#rules = rules;
  }

  head(channel: string): Position | undefined {
    return historyOf(this.#rules, channel) && this.#log(channel).head;
  }

  /** @returns what to send, and undefined when the key was used for it before @throws {RequestError} key_reused */
  append(publication: Publication): { id: string | undefined; event: EncodedEvent | undefined } {
    const { key } = publication;
    if (!key) return this.#append(publication);
    const name = `${key.scope}\0${key.name}\0${publication.channel}`;
    const digest = digestOf(publication);
    const used = this.#keys.get(name);
    // With its history, a channel forgets what was published there.
    const isForgotten =
      used?.id !== undefined && !used.id.startsWith(`${this.#log(publication.channel).head.epoch}-`);
    if (used && !isForgotten && used.until > Date.now()) {
      if (used.digest !== digest) throw new RequestError("key_reused");
      return { id: used.id, event: undefined };
    }
    const appended = this.#append(publication);
    this.#keys.delete(name);
    this.#keys.set(name, { digest, id: appended.id, until: Date.now() + KEY_MS });
    this.#forgetKeys();
    return appended;
  }

  #append({ channel, type, data, sender, except, traceparent }: Publication): {
    id: string | undefined;
    event: EncodedEvent;
  } {
    const at = Date.now();
    const head = { type, channel, timestamp: timestamp(at), traceparent, sender };
    const keeps = historyOf(this.#rules, channel);
    if (!keeps) return { id: undefined, event: encode(head, data, except) };
    const log = this.#log(channel);
    const previous = log.head.check;
    const position = {
      epoch: log.head.epoch,
      check: randomBytes(4).toString("hex"),
      offset: log.head.offset + 1,
    };
    const id = formatId(position);
    const event = encode({ ...head, id }, data, except, { position, previous });
    const bytes = event.text.length + (event.binary?.length ?? 0);
    log.entries.push({ event: event as Entry["event"], at, bytes });
    log.head = position;
    log.changedAt = at;
    this.#bytes += bytes;
    this.#logs.delete(channel);
    this.#logs.set(channel, log);
    this.#trim(channel, log);
    this.#forgetOld();
    return { id, event };
  }

  /** What there was is gone, and what comes next begins anew. */
  forget(channel: string): void {
    const log = this.#logs.get(channel);
    if (!log) return;
    this.#drop(log, log.entries.length);
    this.#logs.delete(channel);
  }

  readAfter(channel: string, offset: number, limit: number): Page {
    const { head, entries } = this.#kept(channel);
    return {
      head,
      events: page(entries.filter(({ event }) => event.position.offset > offset).slice(0, limit)),
    };
  }

  readBefore(channel: string, offset: number, limit: number): Page {
    const { head, entries } = this.#kept(channel);
    const before = entries.filter(({ event }) => event.position.offset < offset).reverse();
    return { head, events: page(before.slice(0, limit)) };
  }

  #kept(channel: string): { head: Position | undefined; entries: readonly Entry[] } {
    if (!historyOf(this.#rules, channel)) return { head: undefined, entries: [] };
    const log = this.#log(channel);
    this.#trim(channel, log);
    return log;
  }

  #log(channel: string): Log {
    const found = this.#logs.get(channel);
    if (found) return found;
    const epoch = randomBytes(8).toString("hex");
    const log: Log = { head: { epoch, check: "00000000", offset: 0 }, entries: [], changedAt: Date.now() };
    this.#logs.set(channel, log);
    return log;
  }

  #trim(channel: string, log: Log): void {
    const keeps = historyOf(this.#rules, channel);
    const oldest = Date.now() - (keeps?.timeMs ?? 0);
    const byTime = log.entries.findIndex(({ at }) => at >= oldest);
    const past = byTime < 0 ? log.entries.length : byTime;
    this.#drop(log, Math.max(past, log.entries.length - (keeps?.size ?? 0)));
  }

  #drop(log: Log, count: number): void {
    for (const { bytes } of log.entries.splice(0, count)) this.#bytes -= bytes;
  }

  #forgetOld(): void {
    const oldest = Date.now() - POSITION_MS;
    for (const [channel, log] of this.#logs) {
      this.#trim(channel, log);
      while (this.#bytes > MAX_BYTES && log.entries.length > 0) this.#drop(log, 1);
      if (this.#logs.size > MAX_CHANNELS || (log.entries.length === 0 && log.changedAt < oldest))
        this.#logs.delete(channel);
      else if (this.#bytes <= MAX_BYTES) return;
    }
  }

  #forgetKeys(): void {
    const now = Date.now();
    for (const [name, { until }] of this.#keys) {
      if (until > now && this.#keys.size <= MAX_KEYS) return;
      this.#keys.delete(name);
    }
  }
}

function page(entries: readonly Entry[]): EncodedEvent[] {
  let bytes = 0;
  const over = entries.findIndex((entry) => {
    bytes += entry.bytes;
    return bytes >= PAGE_BYTES;
  });
  return (over < 0 ? entries : entries.slice(0, over + 1)).map(({ event }) => event);
}

function digestOf({ type, data, sender = "" }: Publication): string {
  return createHash("sha1")
    .update(`${type}\0${typeof data}\0${sender}\0`)
    .update(data)
    .digest("base64");
}
