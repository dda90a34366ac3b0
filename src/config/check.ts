import { isIP } from "node:net";
import { pemBlocks, publicKey, secretKey } from "../auth/keys.ts";
import { parseRedisUrl } from "../backplane/redis/redis-url.ts";
import type { Values } from "./options.ts";

/** Redis channels and Prometheus labels hold it; `tidegate.` begins what is internal. */
const PLAIN_NAME = /^[A-Za-z0-9_-]{1,64}$/;
const NODE_NAME = /^[A-Za-z0-9._-]{1,64}$/;

type Checked = Values & { readonly development: boolean };

/** What is wrong with values that are each well-formed: taken together, or too costly to find out elsewhere. */
export function check(config: Checked, serving: boolean): string[] {
  return [
    ...checkKeys(config),
    ...(serving ? [...checkRole(config), ...checkExposure(config)] : []),
    ...checkNames(config),
    ...checkTimes(config),
  ];
}

function checkRole({ role }: Values): string[] {
  return role === "worker"
    ? ["TIDEGATE_ROLE: this version has no work for a worker (webhooks and jobs come later): edge or all"]
    : [];
}

function checkKeys({ jwt_secret, jwt_public_key, jwks_url, development }: Checked): string[] {
  const secrets = (jwt_secret ?? []).map((secret, i) =>
    attempt(`TIDEGATE_JWT_SECRET: secret ${i + 1}`, () => secretKey(secret)),
  );
  const keys = pemBlocks(jwt_public_key ?? "").map((pem, i) =>
    attempt(`TIDEGATE_JWT_PUBLIC_KEY: key ${i + 1}`, () => publicKey(pem)),
  );
  const none = !development && jwks_url === undefined && secrets.length + keys.length === 0;
  return [
    ...secrets,
    ...keys,
    none ? ["TIDEGATE_JWT_SECRET or TIDEGATE_JWT_PUBLIC_KEY: holds no key"] : [],
  ].flat();
}

function checkExposure(config: Checked): string[] {
  const { development, host, admin_host, allowed_origins, token_cookie } = config;
  if (development) {
    const open = ![host, admin_host].every(isLoopback);
    return open
      ? [
          "TIDEGATE_HOST: development mode binds to a loopback address only; for more configure TIDEGATE_JWT_SECRET, TIDEGATE_JWT_PUBLIC_KEY or TIDEGATE_JWKS_URL",
        ]
      : [];
  }
  if (allowed_origins === undefined) {
    return [
      "TIDEGATE_ALLOWED_ORIGINS is required in production: a list of origins, `same-origin`, `none` (no browsers) or `*`",
    ];
  }
  // With both, any page on the web acts as whoever visits it (CWE-1385).
  return allowed_origins === "*" && token_cookie !== undefined
    ? ["TIDEGATE_TOKEN_COOKIE: not with TIDEGATE_ALLOWED_ORIGINS=*, list the origins"]
    : [];
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

function checkNames({ node_id, redis_prefix, redis_url }: Values): string[] {
  return [
    ...(node_id === undefined || NODE_NAME.test(node_id)
      ? []
      : ["TIDEGATE_NODE_ID: 1 to 64 of A-Z a-z 0-9 . _ -"]),
    ...(PLAIN_NAME.test(redis_prefix) ? [] : ["TIDEGATE_REDIS_PREFIX: 1 to 64 of A-Z a-z 0-9 _ -"]),
    ...(redis_url === undefined ? [] : attempt("TIDEGATE_REDIS_URL", () => parseRedisUrl(redis_url))),
  ];
}

function checkTimes({ heartbeat, pong_timeout }: Values): string[] {
  return [
    ...(heartbeat % 1_000 === 0 ? [] : ["TIDEGATE_HEARTBEAT: whole seconds"]),
    ...(pong_timeout % 1_000 === 0 ? [] : ["TIDEGATE_PONG_TIMEOUT: whole seconds"]),
    ...(pong_timeout < heartbeat ? [] : ["TIDEGATE_PONG_TIMEOUT: less than TIDEGATE_HEARTBEAT"]),
  ];
}

function attempt(where: string, work: () => unknown): string[] {
  try {
    work();
    return [];
  } catch (error) {
    return [`${where}: ${(error as Error).message}`];
  }
}
