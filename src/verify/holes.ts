/** Offsets of one epoch, both ends included, that a connection passed over. */
interface Hole {
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
  /** When it was seen, in milliseconds of the run's clock. */
  readonly at: number;
}

/** A break of continuity of which no offset says how many events it swallowed counts as one. */
export const UNKNOWN = Number.NEGATIVE_INFINITY;

/** What a client was not given on a connection that promised it, until it is told, given it, or judged. */
export class Holes {
  #holes: Hole[] = [];

  add(epoch: string, from: number, to: number, at: number): void {
    this.#holes.push({ epoch, from, to, at });
  }

  get isEmpty(): boolean {
    return this.#holes.length === 0;
  }

  /** @returns when the hole was seen that this offset closes; undefined: there was none */
  fill(epoch: string, offset: number): number | undefined {
    const index = this.#holes.findIndex(
      (hole) => hole.epoch === epoch && hole.from <= offset && offset <= hole.to,
    );
    const hole = this.#holes[index];
    if (!hole) return undefined;
    const rest = [
      { ...hole, to: offset - 1 },
      { ...hole, from: offset + 1 },
    ].filter(({ from, to }) => from <= to);
    this.#holes.splice(index, 1, ...rest);
    return hole.at;
  }

  /** Takes out those that were seen until then. */
  take(until = Number.POSITIVE_INFINITY): Hole[] {
    const taken = this.#holes.filter(({ at }) => at <= until);
    if (taken.length > 0) this.#holes = this.#holes.filter(({ at }) => at > until);
    return taken;
  }
}

export function sizeOf({ from, to }: Hole): number {
  return from === UNKNOWN ? 1 : to - from + 1;
}
