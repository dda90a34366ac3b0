import { Redis, ReplyError } from "ioredis";
import {
  type Acknowledgement,
  ANSWER_MS,
  idIn,
  NO_CONNECTION,
  NotPublished,
  type Outgoing,
  type Way,
} from "./way.ts";

const RECONNECT_MS = 200;

/** The function that nodes load into Redis: `FCALL tidegate_publish`. */
export class RedisWay implements Way {
  readonly #redis: Redis;
  readonly #prefix: string;
  /** Why there is no connection: a command that cannot be sent does not say it. */
  #lack: string | undefined;

  /** @param url `redis://…` or `rediss://…` @param prefix TIDEGATE_REDIS_PREFIX */
  constructor(url: string, prefix: string) {
    this.#prefix = prefix;
    this.#redis = new Redis(url, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: ANSWER_MS,
      connectTimeout: ANSWER_MS,
      retryStrategy: () => RECONNECT_MS,
    });
    this.#redis.on("error", ({ message, code }: NodeJS.ErrnoException) => {
      this.#lack = message || code;
    });
    this.#redis.on("ready", () => {
      this.#lack = undefined;
    });
  }

  async publish({ channel, data, key }: Outgoing): Promise<Acknowledgement> {
    return { id: idIn({ id: await this.#call(`${this.#prefix}:${channel}`, data, key) }) };
  }

  stop(): void {
    this.#redis.disconnect();
  }

  async #call(name: string, data: string, key: string): Promise<unknown> {
    try {
      return await this.#redis.call("FCALL", "tidegate_publish", 1, name, "", data, key);
    } catch (error) {
      const { message } = error as Error;
      if (!(error instanceof ReplyError)) throw new NotPublished(NO_CONNECTION, this.#lack ?? message, true);
      const [, code = "error"] = /^(?:TIDEGATE )?(\S+)/.exec(message) ?? [];
      // A Redis that is new or just back lacks the function until a node has loaded it, and may still be loading.
      const refused = /^(TIDEGATE|NOPERM|NOAUTH|WRONGPASS|ERR unknown)/.test(message);
      throw new NotPublished(code, message, !refused);
    }
  }
}
