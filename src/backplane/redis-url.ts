import type { RedisOptions } from "ioredis";

/** Where Redis is, as ioredis takes it. */
export type RedisAddress = Pick<
  RedisOptions,
  "host" | "port" | "username" | "password" | "db" | "tls" | "sentinels" | "name" | "enableTLSForSentinelMode"
>;

const FORM =
  "redis://[user:password@]host[:port], rediss://…, or redis+sentinel://[user:password@]host:port,host:port/master";
const SHAPE = /^(rediss?)(\+sentinel)?:\/\/(?:([^:@/]*)(?::([^@/]*))?@)?([^@/?#]+)(?:\/([^/?#]*))?$/;

/**
 * @throws {Error} saying which form is expected; never quoting the URL, which may hold a password
 */
export function parseRedisUrl(url: string): RedisAddress {
  const [, scheme, sentinel, user, password, hosts, path] = SHAPE.exec(url) ?? [];
  if (!scheme || !hosts) throw new Error(`expected ${FORM}`);
  const credentials = {
    ...(user ? { username: decodeURIComponent(user) } : {}),
    ...(password ? { password: decodeURIComponent(password) } : {}),
  };
  const tls = scheme === "rediss" ? { tls: {} } : {};
  if (sentinel) {
    if (!path) throw new Error(`a Sentinel URL ends with the name of the master: expected ${FORM}`);
    const sentinels = hosts.split(",").map((host) => hostAndPort(host, 26379));
    return { ...credentials, ...tls, sentinels, name: path, enableTLSForSentinelMode: scheme === "rediss" };
  }
  if (hosts.includes(",")) throw new Error(`several hosts need the scheme redis+sentinel: expected ${FORM}`);
  if (path && !/^\d+$/.test(path)) throw new Error("the path of a Redis URL is the number of a database");
  return { ...credentials, ...tls, ...hostAndPort(hosts, 6379), ...(path ? { db: Number(path) } : {}) };
}

function hostAndPort(text: string, defaultPort: number): { host: string; port: number } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (!host || Number(port ?? 1) > 65535) throw new Error(`expected ${FORM}`);
  return { host, port: port === undefined ? defaultPort : Number(port) };
}
