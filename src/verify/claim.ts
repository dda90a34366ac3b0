import type { Position } from "../protocol/position.ts";
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
