interface Host {
  host: string;
  port: number;
}

/** Where Redis is, as ioredis takes it. */
export interface RedisAddress extends Partial<Host> {
  username?: string;
  password?: string;
  db?: number;
  tls?: { ca?: string };
  sentinels?: Host[];
  /** Of the master that the Sentinels watch. */
  name?: string;
  sentinelUsername?: string;
  sentinelPassword?: string;
  sentinelTLS?: { ca?: string };
  enableTLSForSentinelMode?: boolean;
}

const FORM =
  "redis://[user:password@]host[:port], rediss://…, or redis+sentinel://[user:password@]host:port,host:port/master[?sentinel_user=…&sentinel_password=…]";
const SHAPE =
  /^(rediss?)(\+sentinel)?:\/\/(?:([^:@/]*)(?::([^@/]*))?@)?([^@/?#]+)(?:\/([^/?#]*))?(?:\?([^#]*))?$/;

/**
 * @param ca PEM of the authority behind a `rediss` certificate; the system's when undefined
 * @throws {Error} saying which form is expected; never quoting the URL, which may hold a password
 */
export function parseRedisUrl(url: string, ca?: string): RedisAddress {
  const [, scheme, sentinel, user, password, hosts, path, query] = SHAPE.exec(url) ?? [];
  if (!scheme || !hosts) throw new Error(`expected ${FORM}`);
  const tls = scheme === "rediss" ? { tls: ca === undefined ? {} : { ca } } : {};
  const credentials = {
    ...(user ? { username: decode(user) } : {}),
    ...(password ? { password: decode(password) } : {}),
  };
  if (sentinel) return { ...credentials, ...tls, ...sentinelAddress(hosts, path, query, tls) };
  if (hosts.includes(",")) throw new Error(`several hosts need the scheme redis+sentinel: expected ${FORM}`);
  if (query) throw new Error(`this URL takes no query: expected ${FORM}`);
  if (path && !/^\d+$/.test(path)) throw new Error("the path of a Redis URL is the number of a database");
  return { ...credentials, ...tls, ...hostAndPort(hosts, 6379), ...(path ? { db: Number(path) } : {}) };
}

function sentinelAddress(
  hosts: string,
  master: string | undefined,
  query: string | undefined,
  { tls }: Pick<RedisAddress, "tls">,
): RedisAddress {
  if (!master) throw new Error(`a Sentinel URL ends with the name of the master: expected ${FORM}`);
  const { sentinel_user, sentinel_password, ...others } = Object.fromEntries(new URLSearchParams(query));
  if (Object.keys(others).length > 0) throw new Error(`unknown query: expected ${FORM}`);
  return {
    sentinels: hosts.split(",").map((host) => hostAndPort(host, 26379)),
    name: master,
    ...(sentinel_user ? { sentinelUsername: sentinel_user } : {}),
    ...(sentinel_password ? { sentinelPassword: sentinel_password } : {}),
    ...(tls ? { sentinelTLS: tls, enableTLSForSentinelMode: true } : {}),
  };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Error("a % in user or password is written %25");
  }
}

function hostAndPort(text: string, defaultPort: number): Host {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (!host || Number(port ?? 1) > 65535) throw new Error(`expected ${FORM}`);
  return { host, port: port === undefined ? defaultPort : Number(port) };
}
