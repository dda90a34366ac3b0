import { type Position, parseId, samePosition } from "../protocol/position.ts";
import type { Counts } from "./counts.ts";
import { Holes, sizeOf, UNKNOWN } from "./holes.ts";
import { type Entry, EXCUSED, type Fate, type Ledger, OPEN, TOLD } from "./ledger.ts";

/** A live delivery that takes longer, counted from the acknowledgement, is late. */
const LATE_MS = 5_000;
/**
 * How long after a gap, passed over by a later event, the word may come that belongs to it. A node that delivers reaches
 * Redis, and tells within seconds; what is said of another loss later does not excuse this one.
 */
const TELL_MS = 30_000;

/**
 * What one client may expect of one channel, over all its connections. The claim begins at the position that the first
 * `subscribed` names, and covers every event behind it. Being told (`"resumed":false`) begins a new generation of it.
 */
export class Claim {
  readonly channel: string;
  readonly index: number;
  readonly holes = new Holes();
  /** 0: never subscribed. */
  generation = 0;
  /** The newest event that the client has, or where it was told to go on from: what it resumes after. */
  position: Position | undefined;
  /** Since when it has a confirmed subscription without a pause; undefined: it has none. */
  connectedSince: number | undefined;
  disconnectedAt = Number.NEGATIVE_INFINITY;
  toldAt = Number.NEGATIVE_INFINITY;
  readonly #ledger: Ledger;
  readonly #counts: Counts;
  /** Offsets of the claim's epoch up to which nothing is owed, and from there up to which it was told. */
  #owedFrom = 0;
  #toldTo = 0;
  #confirmed = 0;

  constructor(channel: string, index: number, ledger: Ledger, counts: Counts) {
    this.channel = channel;
    this.index = index;
    this.#ledger = ledger;
    this.#counts = counts;
  }

  get isConnected(): boolean {
    return this.connectedSince !== undefined;
  }

  /** For an event that nobody has heard of so far. */
  fateAtBirth({ epoch, offset }: Position): Fate {
    if (this.generation === 0 || epoch !== this.position?.epoch) return OPEN;
    if (offset <= this.#owedFrom) return EXCUSED;
    return offset <= this.#toldTo ? TOLD : OPEN;
  }

  connect(at: number): void {
    if (this.#confirmed++ === 0) this.connectedSince = at;
  }

  disconnect(at: number): void {
    if (--this.#confirmed > 0) return;
    this.connectedSince = undefined;
    this.disconnectedAt = at;
  }

  begin(position: Position): void {
    this.generation = 1;
    this.position = position;
    this.#owedFrom = position.offset;
    this.#toldTo = position.offset;
    for (const entry of this.#ledger.entries())
      if (this.#isBehind(entry, position)) this.#ledger.setFate(entry, this.index, EXCUSED);
  }

  /** The client was told that the events from where it was to `position` cannot be had. */
  told(position: Position, at: number): void {
    const sameEpoch = position.epoch === this.position?.epoch;
    let missedSince = Number.POSITIVE_INFINITY;
    for (const hole of this.holes.take()) {
      if (at - hole.at > TELL_MS) this.#counts.silent += sizeOf(hole);
      else this.#counts.toldLost += sizeOf(hole);
      missedSince = Math.min(missedSince, this.#settleHole(hole) ?? hole.at);
    }
    for (const entry of this.#ledger.entries()) {
      if (entry.fates[this.index] !== OPEN || !this.#isBehind(entry, position)) continue;
      this.tell(entry);
      missedSince = Math.min(missedSince, entry.ackedAt ?? entry.knownAt);
    }
    const { connectedSince = at } = this;
    if (missedSince < at && connectedSince < at)
      this.#counts.detected(at - Math.max(missedSince, connectedSince));
    this.generation++;
    this.position = position;
    if (!sameEpoch) this.#owedFrom = 0;
    this.#toldTo = position.offset;
    this.toldAt = at;
  }

  tell(entry: Entry): void {
    this.#ledger.setFate(entry, this.index, TOLD);
    this.#counts.toldLost++;
  }

  /** Continuity was broken in a way that no offset measures, and the client was not told. */
  breach(at: number): void {
    this.holes.add("", UNKNOWN, UNKNOWN, at);
  }

  /** Holes that nobody has filled or spoken of are losses. @param until when they had to be there */
  judgeHoles(until?: number): void {
    for (const hole of this.holes.take(until)) {
      this.#counts.silent += sizeOf(hole);
      this.#settleHole(hole);
    }
  }

  /** @returns whether the client did not have the event yet */
  deliver(entry: Entry, at: number): boolean {
    const fate = entry.fates[this.index] as Fate;
    entry.deliveredAt = at;
    if (fate > 0 && fate === this.generation) return false;
    if (fate === TOLD) this.#counts.toldLost--; // by a connection that it still had
    this.#ledger.setFate(entry, this.index, this.generation);
    const { position } = entry;
    if (position.epoch === this.position?.epoch && position.offset > this.position.offset)
      this.position = position;
    return true;
  }

  /** The client has gone on to another epoch without being told so. */
  moveTo(position: Position): void {
    if (position.epoch === this.position?.epoch) return;
    this.position = position;
    this.#owedFrom = 0;
    this.#toldTo = 0;
  }

  checkPunctuality(entry: Entry, at: number): void {
    if (entry.ackedAt === undefined) return;
    const waited = at - Math.max(entry.ackedAt, this.connectedSince ?? at);
    if (waited > LATE_MS) this.#counts.arrivedLate(waited);
  }

  /** The events in a hole are counted with it. @returns when the first of them was acknowledged */
  #settleHole({ epoch, from, to }: { epoch: string; from: number; to: number }): number | undefined {
    let first: number | undefined;
    for (const entry of this.#ledger.between(epoch, from, to)) {
      if (entry.fates[this.index] === OPEN) this.#ledger.setFate(entry, this.index, EXCUSED);
      if (entry.ackedAt !== undefined) first = Math.min(first ?? entry.ackedAt, entry.ackedAt);
    }
    return first;
  }

  /** Whether an event lies before a position at which the client was told to begin: in another epoch it does. */
  #isBehind({ position: { epoch, offset } }: Entry, position: Position): boolean {
    return epoch !== position.epoch || offset <= position.offset;
  }
}

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
export class Stream {
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
