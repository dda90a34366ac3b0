import { readFileSync } from "node:fs";
import type { Redis } from "ioredis";

/** What runs within Redis (see the file itself); `tidegate redis function` prints it. */
export const LIBRARY = readFileSync(new URL("./tidegate.lua", import.meta.url), "utf8");

const VERSION = Number(/^local VERSION = (\d+)$/m.exec(LIBRARY)?.[1]);
const REGISTRATIONS = /^redis\.register_function\('(tidegate_\w+)', (\w+)\)$/gm;
const BODY = LIBRARY.slice(LIBRARY.indexOf("\n") + 1, LIBRARY.indexOf("-- Registration"));
const UNKNOWN = /function not found/i;
/** The server has no functions, or keeps them from us; being out of memory is something else. */
const UNAVAILABLE = /^(?!OOM).*(unknown command|NOPERM|not allowed|disabled)/i;

type Argument = string | number | Buffer;

/** Redis is too old for what the gateway does within it. */
export class RedisTooOld extends Error {}

/**
 * Calls what is in the library. It is loaded when Redis does not have it, or has an older one; a newer one stays, since
 * releases run side by side. Where there are no functions (some managed Redis), each runs as a script.
 */
export class Functions {
  readonly #redis: Redis;
  #asScripts = false;

  constructor(redis: Redis) {
    this.#redis = redis;
    for (const [, name = "", local = ""] of LIBRARY.matchAll(REGISTRATIONS))
      redis.defineCommand(name, { lua: `${BODY}\nreturn ${local}(KEYS, ARGV)` });
  }

  /**
   * @returns as Redis answers, with a Buffer for each string
   * @throws {Error} of Redis; its message begins `TIDEGATE <code>` when the library refuses
   */
  async call(
    name: string,
    keys: readonly string[],
    args: readonly Argument[],
    again = true,
  ): Promise<unknown> {
    if (this.#asScripts) return await this.#script(name)(keys.length, ...keys, ...args);
    try {
      return await this.#redis.callBuffer("FCALL", [name, keys.length, ...keys, ...args]);
    } catch (error) {
      if (!again || !UNKNOWN.test((error as Error).message)) throw error;
      await this.load();
      return await this.call(name, keys, args, false);
    }
  }

  /** @throws {RedisTooOld} @throws {Error} of Redis */
  async load(): Promise<void> {
    try {
      const loaded = await this.#version();
      if (loaded < VERSION)
        await this.#redis.call("FUNCTION", "LOAD", ...(loaded > 0 ? ["REPLACE"] : []), LIBRARY);
      this.#asScripts = false;
    } catch (error) {
      const { message } = error as Error;
      if (/already exists/.test(message)) return; // another node was faster; the next hello looks which one
      if (!UNAVAILABLE.test(message)) throw error;
      await this.#checkServer();
      this.#asScripts = true;
    }
  }

  /** Of what Redis has; 0: nothing. */
  async #version(): Promise<number> {
    try {
      return Number(await this.#redis.call("FCALL", "tidegate_version", "0"));
    } catch (error) {
      if (UNKNOWN.test((error as Error).message)) return 0;
      throw error;
    }
  }

  async #checkServer(): Promise<void> {
    const info = await this.#redis.info("server").catch(() => ""); // an ACL may forbid it
    const [, version, major] = /^redis_version:((\d+)[\d.]*)/m.exec(info) ?? [];
    if (major !== undefined && Number(major) < 7)
      throw new RedisTooOld(`TIDEGATE_REDIS_URL is Redis ${version}: version 7 or Valkey is needed`);
  }

  #script(name: string): (...args: Argument[]) => Promise<unknown> {
    const scripts = this.#redis as unknown as Record<string, (...args: Argument[]) => Promise<unknown>>;
    return (...args) => (scripts[`${name}Buffer`] as (...args: Argument[]) => Promise<unknown>)(...args);
  }
}
