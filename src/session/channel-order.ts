import { RequestError } from "../protocol/codes.ts";

/** Commands of one session under way at the backplane, and as many waiting behind an `auth`. */
export const MAX_UNDER_WAY = 2_000;

/** The work of one session: carried out side by side, but for one channel in the order in which it was asked for. */
export class ChannelOrder {
  /** Channels with work under way: the last of it. */
  #tails: Map<string, Promise<void>> | undefined;
  #underWay = 0;

  /**
   * Runs `work` after all that was given before it for this channel; at once when there is none.
   * @throws {RequestError} command_rate when too much is under way
   */
  run(channel: string, work: () => Promise<void>, failed: (error: unknown) => void): void {
    if (this.#underWay >= MAX_UNDER_WAY) throw new RequestError("command_rate", undefined, { channel });
    this.#tails ??= new Map();
    const tails = this.#tails;
    this.#underWay++;
    const before = tails.get(channel);
    const tail: Promise<void> = (before ? before.then(work) : work()).catch(failed).finally(() => {
      this.#underWay--;
      if (tails.get(channel) === tail) tails.delete(channel);
      // The map of a session that once had many would stay as large as it was.
      if (tails.size === 0 && this.#tails === tails) this.#tails = undefined;
    });
    tails.set(channel, tail);
  }
}
