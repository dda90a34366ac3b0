import { type Position, parseId } from "../protocol/position.ts";
import { Claim } from "./claim.ts";
import type { Counts } from "./counts.ts";
import { type Audience, type Entry, EXCUSED, Ledger, OPEN } from "./ledger.ts";
import { Subscription } from "./subscription.ts";

/*
 * Holds what clients were sent against what was acknowledged and what they were told. Pure: who calls says what time it
 * is, in milliseconds of one clock. What counts as what:
 *
 *   claim        what a client may expect of a channel: a run of events without a gap, from the position that its first
 *                `subscribed` named. `"resumed":true` continues it; being told (`"resumed":false`) begins it anew.
 *   lost         an event within a claim that did not come: passed over by a later one, or at the end still missing at a
 *                client that is subscribed. It counts when it was acknowledged, when another client got it, or when its
 *                offset shows that it exists, or a `subscribed` that names it as missed. It is either `silent` (nobody told the client) or `toldLost`.
 *   silent       moreover, each break of continuity without a word: another epoch, a `"resumed":true` that was none.
 *   duplicated   an event that came twice on one connection, or again behind `since`; or one publication under two ids.
 *                What comes on two connections while a client moves from one to the other is one event.
 *   reordered    an event that came behind a later one, or before `subscribed`; or two that one connection published side
 *                by side, and that stand in the history the other way round
 *   conflicting  one id with two values; or one epoch and offset with two ids, at clients that were not told; or an event
 *                that was sent again and taken for another (`key_reused`)
 *   foreign      an event of another channel, or that nobody of this run published, or without an id
 *   late         a live delivery over five seconds after the acknowledgement
 *   absent       a client that is not subscribed to all of its channels at the end
 *
 * An event that was never acknowledged may appear or not; if it does, it must at all clients. The gateway's own, `$join`
 * and the like, count where they are missing or come twice, and else as nothing.
 */

export interface CheckerOptions {
  /** Events of each channel that are remembered after every client has passed them: duplicates of them are known. */
  readonly keep?: number;
  /**
   * For how long an event may be missing at a connected client before it counts as lost while the run goes on; of a
   * client that is away it is forgotten then. Milliseconds.
   */
  readonly patienceMs?: number;
}

/** One channel: its events, and the claims of the clients that follow it. */
class Channel implements Audience {
  readonly name: string;
  readonly ledger: Ledger;
  readonly claims: Claim[] = [];
  /** Of connections that may have something to say still. */
  readonly streams = new Set<Subscription>();

  constructor(name: string, keep: number) {
    this.name = name;
    this.ledger = new Ledger(this, keep);
  }

  get size(): number {
    return this.claims.length;
  }

  fateAtBirth(index: number, position: Claim["position"] & {}): number {
    return this.claims[index]?.fateAtBirth(position) ?? EXCUSED;
  }
}

export class Checker {
  readonly counts: Counts;
  readonly #keep: number;
  readonly #patienceMs: number;
  readonly #channels = new Map<string, Channel>();

  constructor(counts: Counts, { keep = 1_000, patienceMs = 120_000 }: CheckerOptions = {}) {
    this.counts = counts;
    this.#keep = keep;
    this.#patienceMs = patienceMs;
  }

  /** One client's interest in one channel. All of a channel come before its first event. */
  claim(channel: string): Claim {
    const { claims, ledger } = this.#channel(channel);
    if (ledger.size > 0) throw new Error(`${channel} has events already`);
    const claim = new Claim(channel, claims.length, ledger, this.counts);
    claims.push(claim);
    return claim;
  }

  /** A connection is about to subscribe for a claim, since its position. */
  stream(claim: Claim): Subscription {
    return this.streamSince(claim, claim.position);
  }

  /** Likewise, since where another connection of the client was. */
  streamSince(claim: Claim, since: Position | undefined): Subscription {
    const { ledger, streams } = this.#channel(claim.channel);
    const stream = new Subscription(claim, ledger, this.counts, since);
    streams.add(stream);
    return stream;
  }

  /** An event was published. @throws {TypeError} when `id` is none */
  acknowledged(channel: string, id: string, data: string, at: number): void {
    const position = parseId(id);
    if (!position) throw new TypeError(`no id: ${JSON.stringify(id)}`);
    this.counts.acknowledged++;
    const { ledger } = this.#channel(channel);
    const known = ledger.find(position);
    if (!known && ledger.isForgotten(position)) return;
    if (known && known.data !== data) this.counts.conflicting++;
    const entry = known ?? ledger.record(position, data, at);
    entry.ackedAt ??= at;
    this.#sweep(this.#channel(channel));
  }

  /** Judges what has been missing for longer than anybody may wait. To be called every now and then. */
  judge(now: number): void {
    const until = now - this.#patienceMs;
    for (const channel of this.#channels.values()) {
      for (const stream of channel.streams) {
        if (stream.isOver) channel.streams.delete(stream);
        else stream.judgeHead(until);
      }
      for (const claim of channel.claims) claim.judgeHoles(until);
      for (const entry of channel.ledger.entries())
        if (entry.open > 0 && entry.knownAt <= until)
          this.#judgeEntry(channel, entry, ({ connectedSince, disconnectedAt }) =>
            connectedSince === undefined ? disconnectedAt <= until : connectedSince <= until,
          );
      this.#sweep(channel);
    }
  }

  /** Judges everything, at the end of the run. */
  finish(): void {
    for (const channel of this.#channels.values()) {
      for (const stream of channel.streams) stream.judgeHead();
      for (const claim of channel.claims) claim.judgeHoles();
      for (const entry of channel.ledger.entries())
        if (entry.open > 0) this.#judgeEntry(channel, entry, () => true);
      for (const rivals of channel.ledger.contested()) this.#judgeRivals(channel, rivals);
    }
  }

  /** Events that some client still lacks, holes, forks that nobody has spoken of: what a run waits for at its end. */
  get outstanding(): number {
    let count = 0;
    for (const { ledger, claims, streams } of this.#channels.values()) {
      for (const stream of streams) if (stream.isBehind) count++;
      for (const entry of ledger.entries()) count += entry.open;
      for (const claim of claims) if (!claim.holes.isEmpty) count++;
      for (const rivals of ledger.contested()) if (camps(claims, rivals) > 1) count++;
    }
    return count;
  }

  /** Places in the histories of all channels that are remembered. */
  get remembered(): number {
    return [...this.#channels.values()].reduce((sum, { ledger }) => sum + ledger.size, 0);
  }

  #channel(name: string): Channel {
    const known = this.#channels.get(name);
    if (known) return known;
    const channel = new Channel(name, this.#keep);
    this.#channels.set(name, channel);
    return channel;
  }

  #judgeEntry({ claims, ledger }: Channel, entry: Entry, isDue: (claim: Claim) => boolean): void {
    for (const claim of claims) {
      if (entry.fates[claim.index] !== OPEN || !isDue(claim)) continue;
      if (claim.isConnected && wasTold(claim, entry, ledger.latestEpoch)) claim.tell(entry);
      else {
        ledger.setFate(entry, claim.index, EXCUSED);
        if (claim.isConnected) this.counts.silent++;
      }
    }
  }

  #sweep(channel: Channel): void {
    channel.ledger.sweep((rivals) => this.#judgeRivals(channel, rivals));
  }

  #judgeRivals({ claims }: Channel, rivals: readonly Entry[]): void {
    if (camps(claims, rivals) > 1) this.counts.conflicting++;
  }
}

/**
 * Whether a client has been told of an event's loss: since somebody last saw it, or, as the channel has begun another
 * epoch meanwhile, at all.
 */
function wasTold(claim: Claim, entry: Entry, latestEpoch: string): boolean {
  if (claim.toldAt >= entry.knownAt && entry.deliveredAt <= claim.toldAt) return true;
  const { epoch } = entry.position;
  return claim.generation > 1 && epoch !== claim.position?.epoch && epoch !== latestEpoch;
}

/** How many of the events at one place clients hold to be the true one. */
function camps(claims: readonly Claim[], rivals: readonly Entry[]): number {
  return rivals.filter(({ fates }) =>
    claims.some((claim) => claim.isConnected && fates[claim.index] === claim.generation),
  ).length;
}
