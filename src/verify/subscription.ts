import { type Position, parseId, samePosition } from "../protocol/position.ts";
import type { Claim } from "./claim.ts";
import type { Counts } from "./counts.ts";
import type { Entry, Ledger } from "./ledger.ts";

/** The part of a `subscribed` frame that the promise hangs on. */
export interface Subscribed {
  readonly id: string;
  readonly resumed?: boolean | undefined;
  readonly reason?: string | undefined;
}

/** Where an event stream says that it goes on from. A cursor holds only a part of each position. */
export interface Beginning {
  isAt(position: Position): boolean;
  /** All of it, for who has heard of the next event. */
  before(first: Position): Position;
  /** All of it, where it is known at once. */
  readonly whole?: Position;
}

export interface Received {
  readonly id: string;
  /** As JSON. */
  readonly data: string;
  /** When it was first tried to publish, in milliseconds of the run's clock. */
  readonly sentAt: number;
  /** Whose it is; default: the run's own. All of them are part of the history, and leave no gap in it. */
  readonly origin?: "own" | "gateway" | "foreign";
}

/**
 * One connection's subscription. It promises by itself: what it passes over counts even where another connection of the
 * client brought it.
 */
export class Subscription {
  readonly #claim: Claim;
  readonly #ledger: Ledger;
  readonly #counts: Counts;
  readonly #since: Position | undefined;
  /** The last event here, or where the stream began; undefined: not confirmed yet. */
  #last: Position | undefined;
  /** Events up to here, of the same epoch, were missed and have to come; later ones are live. */
  #head = 0;
  /** When it last got on. */
  #movedAt = Number.NEGATIVE_INFINITY;
  /** Of an event stream, which does not say how far the channel is: what was tried to publish before then was missed. */
  #openedAt = Number.NEGATIVE_INFINITY;
  #beginning: Beginning | undefined;
  /** It may still be said that nothing of what was missed comes. */
  #isResuming = false;
  #isConfirmed = false;
  #ended = false;

  constructor(claim: Claim, ledger: Ledger, counts: Counts, since: Position | undefined) {
    this.#claim = claim;
    this.#ledger = ledger;
    this.#counts = counts;
    this.#since = since;
  }

  /** The beginning of an event stream: it goes on from where the client was, unless `subscribed` says that it does not. */
  opened(beginning: Beginning, at: number): void {
    if (this.#ended || this.#isConfirmed) return;
    this.#confirm(at);
    this.#openedAt = at;
    if (!this.#since) {
      this.#beginning = beginning;
      if (beginning.whole) this.#last = this.#beginBefore(beginning.whole);
      return;
    }
    this.#last = this.#since;
    this.#isResuming = true;
    if (!beginning.isAt(this.#since)) this.#claim.breach(at);
  }

  /** The answer to the subscription, or, on one that is confirmed, the word that continuity was lost. @throws {TypeError} when `id` is none */
  subscribed({ id, resumed, reason }: Subscribed, at: number): void {
    const position = positionOf(id);
    if (this.#ended) return;
    const first = !this.#isConfirmed;
    if (!first && resumed !== false) return; // subscribed twice
    if (first) this.#confirm(at);
    if (this.#isResuming || (first && this.#since))
      this.#counts.resumes.add(resumed === true ? "resumed" : (reason ?? "ignored"));
    this.#isResuming = false;
    this.#movedAt = at;
    this.#head = position.offset;
    this.#last = resumed === true && this.#since ? this.#since : position;
    if (resumed === false) {
      this.#counts.told.add(reason ?? "without a reason");
      this.#claim.told(position, at);
    } else if (!this.#since) {
      // Another connection, opened meanwhile, may have begun the claim already.
      if (this.#claim.generation === 0) this.#claim.begin(position);
    } else if (resumed !== true || !isAhead(position, this.#since)) {
      this.#claim.breach(at);
      this.#claim.moveTo(position);
      if (position.epoch !== this.#since.epoch) this.#head = 0;
    }
    this.#ledger.latestEpoch = position.epoch;
  }

  get isOver(): boolean {
    return this.#ended;
  }

  /** Whether events are still to come of which `subscribed` said that they were missed. */
  get isBehind(): boolean {
    return !this.#ended && this.#last !== undefined && this.#last.offset < this.#head;
  }

  /** Those that have not come are a hole. @param until when it had to get on */
  judgeHead(until = Number.POSITIVE_INFINITY): void {
    if (!this.isBehind || !this.#last || this.#movedAt > until) return;
    this.#claim.holes.add(this.#last.epoch, this.#last.offset + 1, this.#head, this.#movedAt);
    this.#head = 0;
  }

  /** @throws {TypeError} when `id` is none */
  event({ id, data, sentAt, origin = "own" }: Received, at: number): void {
    const position = positionOf(id);
    if (this.#ended) return;
    if (origin === "foreign") this.#counts.foreigner(data);
    this.#resumed();
    this.#movedAt = at;
    this.#last ??= this.#beginBefore(position);
    if (!this.#last) {
      this.#counts.reordered++; // `subscribed` comes first
      return;
    }
    const known = this.#ledger.find(position);
    if (known && known.data !== data) this.#counts.conflicting++;
    if (position.epoch !== this.#last.epoch) {
      this.#claim.breach(at);
      this.#claim.moveTo(position);
      this.#last = position;
      this.#head = 0;
    } else if (position.offset > this.#last.offset) {
      if (position.offset > this.#last.offset + 1)
        this.#claim.holes.add(position.epoch, this.#last.offset + 1, position.offset - 1, at);
      this.#last = position;
    } else if (!this.#comesAgain(position, at)) return;
    this.#ledger.latestEpoch = position.epoch;
    const isOwn = origin === "own";
    const entry = this.#ledger.record(position, data, at, isOwn);
    if (isOwn) this.#checkPublication(entry);
    if (!this.#claim.deliver(entry, at) || !isOwn) return;
    this.#counts.deliveries++;
    if (position.offset <= this.#head || sentAt < this.#openedAt) this.#counts.recovered++;
    else {
      this.#counts.took(at - sentAt);
      this.#claim.checkPunctuality(entry, at);
    }
  }

  /** The connection is gone, or the subscription. */
  end(at: number): void {
    if (!this.#ended && this.#isConfirmed) this.#claim.disconnect(at);
    this.#resumed();
    this.#ended = true;
  }

  #confirm(at: number): void {
    this.#isConfirmed = true;
    this.#claim.connect(at);
  }

  #resumed(): void {
    if (this.#isResuming) this.#counts.resumes.add("resumed");
    this.#isResuming = false;
  }

  #beginBefore(first: Position): Position | undefined {
    const start = this.#beginning?.before(first);
    if (start && this.#claim.generation === 0) this.#claim.begin(start);
    return start;
  }

  /** An event no later than the last one. @returns whether the client did not have it yet */
  #comesAgain(position: Position, at: number): boolean {
    const entry = this.#ledger.find(position);
    const had = entry ? entry.fates[this.#claim.index] === this.#claim.generation : this.#isOld(position);
    if (had) {
      this.#counts.duplicated++;
      return false;
    }
    this.#counts.reordered++;
    const missedAt = this.#claim.holes.fill(position.epoch, position.offset);
    if (missedAt !== undefined) this.#counts.detected(at - (entry?.ackedAt ?? missedAt));
    return true;
  }

  #isOld(position: Position): boolean {
    return this.#ledger.isForgotten(position) || (!!this.#last && samePosition(position, this.#last));
  }

  /** What was published once comes once: under one id. */
  #checkPublication(entry: Entry): void {
    for (const other of this.#ledger.published(entry.data))
      if (other !== entry && other.fates[this.#claim.index] === this.#claim.generation)
        this.#counts.duplicated++;
  }
}

function isAhead(head: Position, since: Position): boolean {
  return head.epoch === since.epoch && head.offset >= since.offset;
}

function positionOf(id: unknown): Position {
  const position = parseId(id);
  if (!position) throw new TypeError(`no id: ${JSON.stringify(id)}`);
  return position;
}
