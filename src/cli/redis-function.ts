import { LIBRARY } from "../backplane/redis/functions.ts";

/** The function library that nodes load into Redis, for operators who load it themselves. */
export function redisFunction(): string {
  return LIBRARY.trimEnd();
}
