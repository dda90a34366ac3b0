import type { Attendance } from "../protocol/presence.ts";

/** Knows who is in which channel, over all nodes. */
export interface Register {
  /**
   * Says who is in channels on this node, and who is no more. The first node that says so of a user makes a `$join`,
   * the last that takes it back a `$leave`; what it knows already changes nothing.
   * @throws {RequestError} backplane_unavailable: some of it may have been heard
   */
  attend(attendances: readonly Attendance[]): Promise<void>;
}

/** Users in one report: each that is news is an event, and Redis does nothing else meanwhile. */
const BATCH = 100;
const RETRY_MS = 1_000;
/** Between two looks for users who were waited for long enough. */
const TICK_MS = 250;
/** Everybody is told of anew so often, that the register need not keep whom nobody speaks of. */
const RENEW_MS = 600_000;
/**
 * Users who went while the register was away, to be told when it is back. More are forgotten: a node that was out of touch
 * says anew who is there, and of whom it does not say so the register knows what to think.
 */
const MAX_GONE = 10_000;

/** A user in a channel, on this node. */
interface Attendee {
  readonly channel: string;
  readonly user: string;
  readonly info: string | undefined;
  sessions: number;
  /** Without a session: until when the user is waited for (`performance.now`). */
  due: number;
  /** Waited for long enough; or not told of yet. */
  gone: boolean;
  /** As the register was told last. */
  known: boolean;
}

/**
 * Who is in which channel on this node: whoever has a session there, and whose last one has gone so recently that the
 * next may be on its way. Told to the register in batches.
 */
export class Attendances {
  readonly #register: Register;
  readonly #channels = new Map<string, Map<string, Attendee>>();
  /** Without a session. */
  readonly #leaving = new Set<Attendee>();
  /** To be told. */
  readonly #changed = new Set<Attendee>();
  #reporting = false;
  #retry: NodeJS.Timeout | undefined;
  #tick: NodeJS.Timeout | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #stopped = false;
  /** Pairs of user and channel. */
  size = 0;
  /** Pairs that the register was told of: that came, that went. */
  joins = 0;
  leaves = 0;

  constructor(register: Register) {
    this.#register = register;
  }

  start(): void {
    this.#renewal = setInterval(() => this.renew(), RENEW_MS);
  }

  /** Nobody is told that anybody left: whoever was here may be elsewhere by the time that the register misses us. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#renewal);
    clearInterval(this.#tick);
    clearTimeout(this.#retry);
  }

  /** One session more. Of several, the first one's info counts. */
  enter(channel: string, user: string, info: string | undefined): void {
    const attendee = this.#find(channel, user) ?? this.#add(channel, user, info);
    attendee.sessions++;
    this.#leaving.delete(attendee);
    if (!attendee.gone) return;
    attendee.gone = false;
    this.#change(attendee);
  }

  /** One session less. @param graceMs to wait for the next one, when this was the last */
  leave(channel: string, user: string, graceMs: number): void {
    const attendee = this.#find(channel, user);
    if (!attendee || attendee.sessions === 0 || --attendee.sessions > 0) return;
    attendee.due = performance.now() + graceMs;
    this.#leaving.add(attendee);
    if (!this.#stopped) this.#tick ??= setInterval(() => this.#dismiss(), TICK_MS);
  }

  /** Tells of everybody: the register may have forgotten. */
  renew(): void {
    for (const attendees of this.#channels.values())
      for (const attendee of attendees.values()) this.#change(attendee);
  }

  #find(channel: string, user: string): Attendee | undefined {
    return this.#channels.get(channel)?.get(user);
  }

  #add(channel: string, user: string, info: string | undefined): Attendee {
    const attendee = { channel, user, info, sessions: 0, due: 0, gone: true, known: false };
    const attendees = this.#channels.get(channel);
    if (attendees) attendees.set(user, attendee);
    else this.#channels.set(channel, new Map([[user, attendee]]));
    this.size++;
    return attendee;
  }

  #forget({ channel, user }: Attendee): void {
    const attendees = this.#channels.get(channel);
    if (!attendees?.delete(user)) return;
    this.size--;
    if (attendees.size === 0) this.#channels.delete(channel);
  }

  #dismiss(): void {
    const now = performance.now();
    for (const attendee of this.#leaving) {
      if (attendee.due > now) continue;
      this.#leaving.delete(attendee);
      attendee.gone = true;
      this.#change(attendee);
    }
    if (this.#leaving.size > 0) return;
    clearInterval(this.#tick);
    this.#tick = undefined;
  }

  #change(attendee: Attendee): void {
    this.#changed.add(attendee);
    if (this.#reporting) return;
    this.#reporting = true;
    setImmediate(() => void this.#report()); // all that one turn brought goes into one report
  }

  /** One report at a time, each with what came during the last one. */
  async #report(): Promise<void> {
    while (this.#changed.size > 0 && !this.#stopped) {
      const told = [...first(this.#changed, BATCH)].map((attendee) => ({ attendee, here: !attendee.gone }));
      for (const { attendee } of told) this.#changed.delete(attendee);
      const attendances = told.map(({ attendee: { channel, user, info }, here }) => ({
        channel,
        user,
        info,
        here,
      }));
      const heard = await this.#register.attend(attendances).then(
        () => true,
        () => false, // the register tells why
      );
      if (!heard) return this.#tryAgain(told);
      for (const { attendee, here } of told) this.#settle(attendee, here);
    }
    this.#reporting = false;
  }

  #settle(attendee: Attendee, here: boolean): void {
    if (here && !attendee.known) this.joins++;
    if (!here && attendee.known) this.leaves++;
    attendee.known = here;
    // One that is to be told again came back meanwhile, be it for a moment.
    if (!here && !this.#changed.has(attendee)) this.#forget(attendee);
  }

  #tryAgain(told: readonly { readonly attendee: Attendee }[]): void {
    for (const { attendee } of told) this.#changed.add(attendee);
    const gone = [...this.#changed].filter((attendee) => attendee.gone);
    for (const attendee of gone.slice(0, Math.max(0, gone.length - MAX_GONE))) {
      this.#changed.delete(attendee);
      this.#forget(attendee);
    }
    if (!this.#stopped) this.#retry = setTimeout(() => void this.#report(), RETRY_MS);
  }
}

function* first<T>(of: Iterable<T>, count: number): Iterable<T> {
  let left = count;
  for (const one of of) {
    if (left-- === 0) return;
    yield one;
  }
}
