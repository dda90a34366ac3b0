/** A fault or a bad input, and the tests that show what comes of it; or why there is none. */
export interface Row {
  readonly id: string;
  readonly what: string;
  readonly shown: readonly (readonly [file: string, name: RegExp])[] | string;
}

/** Below test/. */
const t = (file: string, name: RegExp = /./) => [`test/${file}.test.ts`, name] as const;

export const ROWS: readonly Row[] = [
  { id: "C1", what: "one stalled reader among many", shown: [t("slow", /^a stalled reader harms nobody/)] },
  { id: "C2", what: "all queues together", shown: [t("node-limits", /stays within its limit/)] },
  { id: "C3", what: "a reader that is slow, but alive", shown: [t("slow", /slow, but within|stop and go/)] },
  { id: "C8", what: "no port left from HAProxy to a node", shown: [t("haproxy-ports")] },
  { id: "C9", what: "no descriptor left on a node", shown: [t("node-limits", /out of descriptors/)] },
  { id: "C10", what: "maxconn of HAProxy", shown: [t("haproxy-limits", /HAPROXY_MAXCONN/)] },
  {
    id: "C11",
    what: "connections of one user, all nodes",
    shown: [t("fleet-access", /limited over all|in a rush/)],
  },
  { id: "C12", what: "connections of one address", shown: [t("haproxy-limits", /101st|one HTTP\/2/)] },
  { id: "C13", what: "timeout tunnel and the heartbeat", shown: [t("haproxy-slow", /a tunnel lives/)] },
  { id: "C14", what: "HAProxy reloaded under load", shown: [t("haproxy-reload", /is reloaded/)] },
  { id: "C15", what: "HAProxy killed", shown: [t("haproxy-reload", /is killed/)] },
  { id: "C16", what: "stickiness to a node that drains", shown: [t("haproxy-handover")] },
  {
    id: "C18",
    what: "a memory limit from outside",
    shown:
      "a node does not know the limit of its container; TIDEGATE_MAX_CONNECTIONS and TIDEGATE_MAX_NODE_QUEUED_BYTES bound what grows (C2)",
  },
  { id: "D1", what: "frames of RFC 6455 and 7692", shown: [t("hostile/frames")] },
  { id: "D2", what: "handshakes that RFC 6455 forbids", shown: [t("handshake", /RFC 6455 forbids/)] },
  { id: "D3", what: "foreign origins", shown: [t("handshake", /the origin of/), t("origin")] },
  { id: "D4", what: "a cookie without an origin", shown: [t("handshake", /unless a cookie/)] },
  {
    id: "D5",
    what: "smuggling",
    shown: [t("haproxy-requests", /two requests out of one/), t("hostile/http")],
  },
  { id: "D6", what: "one-byte segments", shown: [t("haproxy", /one-byte segments/)] },
  { id: "D7", what: "slowloris", shown: [t("haproxy-slow", /five hundred/), t("hostile/slow")] },
  { id: "D8", what: "large heads and long URLs", shown: [t("haproxy-requests", /lets through/)] },
  { id: "D10", what: "a connection that never authenticates", shown: [t("lifetime", /4408/)] },
  { id: "D11", what: "WebSocket over HTTP/2", shown: [t("haproxy", /HTTP\/2/)] },
  { id: "D12", what: "forged addresses", shown: [t("haproxy-requests", /cannot choose its address/)] },
  { id: "E1", what: "unsigned tokens", shown: [t("auth", /^an unsigned token/)] },
  { id: "E2", what: "the wrong kind of key", shown: [t("auth", /wrong kind of key/)] },
  { id: "E3", what: "hostile key ids", shown: [t("auth", /^a key id/)] },
  { id: "E4", what: "headers that say where the key is", shown: [t("auth", /says where the key is/)] },
  { id: "E5", what: "claims missing or malformed", shown: [t("auth", /^a claim/)] },
  { id: "E6", what: "times of a token", shown: [t("auth", /^the end of a token|nbf and iat/)] },
  { id: "E7", what: "keys that change", shown: [t("jwks", /^a key set that changes/)] },
  { id: "E8", what: "unknown key ids by the thousand", shown: [t("jwks", /1,000 unknown keys/)] },
  { id: "E9", what: "a key server that fails", shown: [t("jwks", /^a key server that fails/)] },
  {
    id: "E11",
    what: "claims that steer a URL",
    shown: "no URL is made of a claim; TIDEGATE_JWKS_URL is fixed",
  },
  { id: "E12", what: "a token that ends on a live connection", shown: [t("lifetime", /4401/)] },
  { id: "E13", what: "fresh tokens of others, or with less", shown: [t("session-auth", /^a fresh token/)] },
  {
    id: "E14",
    what: "revocation during a stream, three nodes",
    shown: [t("fleet-access"), t("revocations")],
  },
  {
    id: "E16",
    what: "10,000 names near a granted one",
    shown: [t("hostile/names"), t("grants", /10,000 tries/)],
  },
  {
    id: "E17",
    what: "patterns in channel names",
    shown: [t("hostile/names", /open no pattern|Redis's sense/)],
  },
  {
    id: "E19",
    what: "an action without its grant",
    shown: [t("grants", /no other/), t("http", /without a grant/)],
  },
  {
    id: "E20",
    what: "10,000 channels; 1,000 grants",
    shown: [t("hostile/floods", /10,000 channels|thousand patterns/)],
  },
  { id: "E21", what: "a leak of a token or secret", shown: [t("secrets")] },
  {
    id: "E22",
    what: "timing of comparisons",
    shown: "signatures are compared in Node's crypto, in constant time; there is no other secret to compare",
  },
  { id: "E23", what: "one-time tickets", shown: "there are none" },
  {
    id: "E24",
    what: "tokens tried out",
    shown: [t("haproxy-limits", /tries out tokens/), t("hostile/logs", /bad tokens/)],
  },
  { id: "F1", what: "frames at and over the limit", shown: [t("websocket", /as big as|far too big/)] },
  { id: "F2", what: "deflate bombs", shown: [t("hostile/frames", /^compression/)] },
  { id: "F5", what: "floods of pings, pongs, commands", shown: [t("hostile/floods", /^a flood/)] },
  {
    id: "F6",
    what: "JSON bombs and oddities",
    shown: [t("hostile/messages"), t("protocol", /deeper|more keys/)],
  },
  { id: "F7", what: "names that every object has", shown: [t("hostile/messages", /every object has/)] },
  { id: "F8", what: "malformed commands", shown: [t("conformance", /malformed/)] },
  { id: "F9", what: "ten times the command rate", shown: [t("websocket", /commands per second/)] },
  { id: "F10", what: "a close amid commands", shown: [t("hostile/floods", /amid their commands/)] },
  { id: "F11", what: "injection into SSE", shown: "there is no SSE yet" },
  { id: "F13", what: "random bytes (FUZZ_SECONDS=1800 for half an hour)", shown: [t("hostile/fuzz")] },
  {
    id: "F14",
    what: "an exception in a handler",
    shown:
      "handlers are guarded in one place (transport/websocket.ts), but there is no way to make one throw from outside",
  },
  { id: "F15", what: "injection into the log", shown: [t("hostile/logs", /stays within its log line/)] },
  { id: "stop", what: "SIGTERM: closing, flat rate, exit 0", shown: [t("shutdown"), t("drain")] },
  { id: "role", what: "an edge makes no outgoing requests", shown: [t("role")] },
];
