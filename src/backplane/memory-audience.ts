import type { ChannelCount, ChannelsQuery } from "../protocol/audience.ts";

/** What Redis knows of subscribers, within one process. */
export class MemoryAudience {
  readonly #counts = new Map<string, number>();

  report(counts: readonly (readonly [string, number])[]): void {
    for (const [channel, count] of counts) {
      if (count > 0) this.#counts.set(channel, count);
      else this.#counts.delete(channel);
    }
  }

  page({ after = "", prefix, limit }: ChannelsQuery): ChannelCount[] {
    return [...this.#counts]
      .filter(([channel]) => channel > after && channel.startsWith(prefix))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .slice(0, limit)
      .map(([channel, subscribers]) => ({ channel, subscribers }));
  }
}
