import type { ChannelCount, ChannelsQuery } from "../../protocol/audience.ts";
import type { Functions } from "./functions.ts";

/** How many subscribers channels have, node by node, in Redis (tidegate.lua says how). */
export class RedisAudience {
  readonly #functions: Functions;
  readonly #prefix: string;
  readonly #instance: string;

  constructor(functions: Functions, prefix: string, instance: string) {
    this.#functions = functions;
    this.#prefix = prefix;
    this.#instance = instance;
  }

  /** @throws {Error} of Redis */
  async report(counts: readonly (readonly [string, number])[]): Promise<void> {
    await this.#functions.call("tidegate_audience", [], [this.#prefix, this.#instance, ...counts.flat()]);
  }

  /** @throws {Error} of Redis */
  async page({ after, prefix, limit }: ChannelsQuery): Promise<ChannelCount[]> {
    const args = [this.#prefix, after ?? "", prefix, limit];
    const answer = (await this.#functions.call("tidegate_channels", [], args)) as (Buffer | number)[];
    const channels = [];
    for (let i = 0; i + 1 < answer.length; i += 2)
      channels.push({ channel: String(answer[i]), subscribers: Number(answer[i + 1]) });
    return channels;
  }
}
