/* Where it all is. Nobody but the reader knows the hosts: each is a variable, with what it is on one's own machine. */

function server(protocol: string, port: number, description: string) {
  return {
    host: "{host}",
    protocol,
    description,
    variables: {
      host: { default: `localhost:${port}`, description: "The name or address, and the port." },
    },
  };
}

export const SERVERS = {
  node: server("ws", 8080, "A node, without TLS: for development."),
  balancer: server("wss", 8443, "The balancer in front of the nodes: for production."),
  nodeStreams: server("http", 8080, "A node, without TLS, for event streams."),
  balancerStreams: server("https", 8443, "The balancer, for event streams."),
  redis: server(
    "redis",
    6379,
    "The Redis of the nodes (TIDEGATE_REDIS_URL); with Sentinel its master. With TLS it is `rediss`.",
  ),
} as const;

export type ServerName = keyof typeof SERVERS;

export const SECURITY_SCHEMES = {
  bearer: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
    description:
      "A JWT. Over a WebSocket also the subprotocol `bearer.<token>` or an `auth` frame. Also taken from the cookie that TIDEGATE_TOKEN_COOKIE names; then `Origin`, or `Sec-Fetch-Site: same-origin`, is mandatory.",
  },
  token: {
    type: "httpApiKey",
    in: "query",
    name: "token",
    description: "The same in the URL: last resort, since URLs end up in logs.",
  },
  redis: {
    type: "userPassword",
    description:
      "A user of Redis who may PUBLISH to the channel, or call the function: a function runs with the rights of who calls it, so that one is trusted like a node. README.md has both as ACL users.",
  },
} as const;

export type SecurityName = keyof typeof SECURITY_SCHEMES;
