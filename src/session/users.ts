import { RequestError } from "../protocol/codes.ts";

/** A session of a user, as far as counting goes. */
export interface Counted {
  /** One too many for its user, as the fleet counts them. */
  onTooMany(): void;
}

/** Counts the connections of users over all nodes. */
export interface Census {
  /**
   * Says how many connections these users have on this node; 0 of those that have none any more.
   * @returns how many each has in the fleet, in the same order
   * @throws {RequestError} backplane_unavailable
   */
  countConnections(counts: readonly (readonly [user: string, count: number])[]): Promise<readonly number[]>;
}

/** Users in one report. */
const BATCH = 1_000;
/** After a report that failed. */
const RETRY_MS = 1_000;
/** Users are reported anew so often, that the census need not keep what nobody reports. */
const RENEW_MS = 3_600_000;

/**
 * How many connections each user has, here and, by the census, in the fleet. A limit that is broken here is seen
 * before the connection is there; one that is broken in the fleet, a moment after. Without the census (Redis is away)
 * the limit holds on each node.
 */
export class Users {
  readonly #limit: number;
  readonly #census: Census;
  readonly #sessions = new Map<string, Set<Counted>>();
  /** Users whose count has changed since it was reported, with those of their sessions that are new. */
  readonly #changed = new Map<string, Set<Counted>>();
  #reporting = false;
  #retry: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param limit connections of one user in the fleet; 0: none */
  constructor(limit: number, census: Census) {
    this.#limit = limit;
    this.#census = census;
  }

  start(): void {
    this.#timer = setInterval(() => this.renew(), RENEW_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#retry);
  }

  /** @throws {RequestError} too_many_connections when this node alone has as many as the user may have */
  check(user: string): void {
    if (this.#limit > 0 && this.#count(user) >= this.#limit) throw this.tooMany();
  }

  tooMany(): RequestError {
    return new RequestError("too_many_connections", `the limit is ${this.#limit} connections`);
  }

  add(user: string, session: Counted): void {
    const sessions = this.#sessions.get(user);
    if (sessions) sessions.add(session);
    else this.#sessions.set(user, new Set([session]));
    this.#change(user).add(session);
  }

  remove(user: string, session: Counted): void {
    const sessions = this.#sessions.get(user);
    if (!sessions?.delete(session)) return;
    if (sessions.size === 0) this.#sessions.delete(user);
    this.#change(user).delete(session);
  }

  /** Reports everybody: the census may have forgotten. */
  renew(): void {
    for (const user of this.#sessions.keys()) this.#change(user);
  }

  /** @returns the sessions that are judged when this is reported */
  #change(user: string): Set<Counted> {
    const known = this.#changed.get(user);
    const added = known ?? new Set();
    if (!known) this.#changed.set(user, added);
    if (!this.#reporting) {
      this.#reporting = true;
      setImmediate(() => void this.#report()); // all that one turn brought goes into one report
    }
    return added;
  }

  /** One report at a time, each with what came during the last one: under a storm they grow, up to a limit. */
  async #report(): Promise<void> {
    while (this.#changed.size > 0) {
      const batch = [...this.#changed].slice(0, BATCH);
      for (const [user] of batch) this.#changed.delete(user);
      const totals = await this.#census
        .countConnections(batch.map(([user]) => [user, this.#count(user)]))
        .catch(() => undefined); // the census tells why
      if (!totals) return this.#tryAgain(batch);
      for (const [i, [user, added]] of batch.entries()) this.#judge(user, added, totals[i] ?? 0);
    }
    this.#reporting = false;
  }

  #tryAgain(batch: readonly (readonly [string, Set<Counted>])[]): void {
    for (const [user, added] of batch) {
      const here = this.#sessions.get(user);
      const since = this.#changed.get(user) ?? [];
      this.#changed.set(user, new Set([...added, ...since].filter((session) => here?.has(session))));
    }
    this.#retry = setTimeout(() => void this.#report(), RETRY_MS);
  }

  #count(user: string): number {
    return this.#sessions.get(user)?.size ?? 0;
  }

  /** The newest have to go, of those that have not gone by themselves. */
  #judge(user: string, added: ReadonlySet<Counted>, total: number): void {
    if (this.#limit === 0 || total <= this.#limit) return;
    const here = [...added].filter((session) => this.#sessions.get(user)?.has(session));
    for (const session of here.slice(-Math.min(total - this.#limit, here.length))) session.onTooMany();
  }
}
