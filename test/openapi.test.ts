import { Agent } from "node:http";
import type { TSchema } from "typebox";
import { beforeAll, describe, expect, it } from "vitest";
import { type ApiOptions, apiRoutes } from "../src/api/routes.ts";
import { MAX_REVOCATIONS } from "../src/backplane/backplane.ts";
import { type CodeEntry, codeEntries } from "../src/docs/codes.ts";
import { openApi } from "../src/docs/openapi.ts";
import { ANY_REQUEST, type Operation } from "../src/docs/operations/operation.ts";
import { OPERATIONS } from "../src/docs/operations/operations.ts";
import { type Code, statusOf } from "../src/protocol/codes.ts";
import { Problem } from "../src/schema/http.ts";
import { fits } from "../src/schema/shape.ts";
import { type Answered, type Ask, ask } from "./support/ask.ts";
import { type GatewayNode, sharedStage } from "./support/servers.ts";
import { token } from "./support/token.ts";
import { closed } from "./tools/closed.ts";
import { undescribed } from "./tools/described.ts";

/* Every operation of the document is called on real nodes, and answers with every status and every code that is documented. */

const ADMIN = { admin: ["*"] };
const stage = sharedStage();

/** Nodes in the states that some codes need. */
let node: GatewayNode;
let cutOff: GatewayNode;
let ignorant: GatewayNode;
let full: GatewayNode;
let slow: GatewayNode;
let crowded: GatewayNode;
let sated: GatewayNode;
let leaving: GatewayNode;
/** By operation: each keeps a connection to the node that stops, which nobody else can ask any more. */
const inside = new Map(OPERATIONS.map(({ id }) => [id, new Agent({ keepAlive: true, maxSockets: 1 })]));

beforeAll(async () => {
  const [redis, store] = await Promise.all([stage.redis(), stage.redis()]);
  const env = { TIDEGATE_PRESENCE: "room-*" };
  [node, cutOff, ignorant, full, slow, crowded, sated, leaving] = await Promise.all([
    stage.node({
      env: {
        ...env,
        TIDEGATE_HISTORY: '{"*":{"size":100,"time":"10m"},"plain-*":"off"}',
        TIDEGATE_MAX_CHANNELS_PER_CONNECTION: "2",
      },
    }),
    stage.node({ redis, env }),
    stage.node({ waitReady: false, env: { ...env, TIDEGATE_REDIS_URL: "redis://127.0.0.1:9" } }),
    stage.node({ env: { TIDEGATE_MAX_CONNECTIONS: "1" } }),
    stage.node({ env: { TIDEGATE_HANDSHAKE_RATE: "1" } }),
    stage.node({ env: { TIDEGATE_MAX_CONNECTIONS_PER_USER: "1" } }),
    stage.node({ redis: store }),
    stage.node({ env: { TIDEGATE_DRAIN_TIME: "30s" } }),
  ]);
  await redis.stop();
  await store.cli("EVAL", REVOKE_MANY, "1", "tidegate.revocations", String(MAX_REVOCATIONS));
  await stage.client(full.webSocketUrl, { token: token() });
  await stage.client(crowded.webSocketUrl, { token: token() });
  await expectStatus(asked("publish"), 201);
  const witness = await stage.client(leaving.webSocketUrl, { token: token() });
  for (const agent of inside.values()) await ask(toAsk({ ...asked("connect"), on: leaving, agent }));
  leaving.kill("SIGTERM");
  await witness.next("closing", 10_000);
  const revocation = { ...asked("revoke"), body: '{"jti":"revoked"}' };
  await expectStatus(revocation, 204);
}, 60_000);

/** As if somebody had revoked so many tokens one by one. */
const REVOKE_MANY =
  "for i = 1, ARGV[1] do redis.call('ZADD', KEYS[1], '9999999999999', 'j' .. i) end return redis.call('ZCARD', KEYS[1])";

async function expectStatus(wanted: Wanted, status: number): Promise<Answered> {
  const answer = await ask(toAsk(wanted));
  expect([answer.status, answer.body], `${wanted.method} ${wanted.path}`).toEqual([
    status,
    expect.anything(),
  ]);
  return answer;
}

interface Wanted {
  readonly id: string;
  readonly on: GatewayNode;
  readonly method: string;
  /** With parameters put in, and without a query. */
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly token: string | undefined;
  readonly agent?: Agent;
}

function toAsk({ on, method, path, query, headers, body, token: credential, agent }: Wanted): Ask {
  const authorization = credential === undefined ? {} : { Authorization: `Bearer ${credential}` };
  return {
    method: method.toUpperCase(),
    url: `${on.url}${path}${query === "" ? "" : `?${query}`}`,
    headers: { ...authorization, ...headers },
    ...(body !== undefined && { body }),
    ...(agent && { agent }),
  };
}

const BODIES: Readonly<Record<string, string>> = {
  publish: '{"data":1}',
  publishMany: '{"events":[{"channel":"chat-123","data":1}]}',
  revoke: '{"jti":"another"}',
};
const QUERIES: Readonly<Record<string, string>> = {
  follow: "channel=chat-123",
  explain: "action=subscribe&channel=chat-123",
};

/** A request that succeeds. */
function asked(id: string): Wanted {
  const { method, path } = OPERATIONS.find((operation) => operation.id === id) as Operation;
  const body = BODIES[id];
  return {
    id,
    on: node,
    method,
    path: path.replace("{channel}", id === "readPresence" ? "room-1" : "chat-123").replace("{user}", "ann"),
    query: QUERIES[id] ?? "",
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    ...(body !== undefined && { body }),
    token: token({ claims: ADMIN }),
  };
}

const HANDSHAKE = {
  Upgrade: "websocket",
  Connection: "Upgrade",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};

type Change = (wanted: Wanted) => Partial<Wanted> | Promise<Partial<Wanted>>;

const inPath =
  (channel: string): Change =>
  ({ path }) => ({ path: path.replace(/chat-123|room-1/, channel) });
const inQuery =
  (query: string): Change =>
  () => ({ query });
const deep = `${"[".repeat(40)}${"]".repeat(40)}`;

/** How each code is provoked: by operation and code, or for all operations alike. */
const PROVOKED: Readonly<Record<string, Change>> = {
  origin_not_allowed: ({ headers }) => ({ headers: { ...headers, Origin: "https://elsewhere.example" } }),
  token_missing: () => ({ token: undefined }),
  token_invalid: () => ({ token: token({ key: "another-secret-for-tests-only-0123456789" }) }),
  token_expired: () => ({ token: token({ expiresIn: -1 }) }),
  token_revoked: () => ({ token: token({ claims: { ...ADMIN, jti: "revoked" } }) }),
  auth_unavailable: () => ({ on: ignorant }),
  forbidden: () => ({ token: token({ channels: {} }) }),
  unsupported_media_type: () => ({ headers: { "Content-Type": "text/plain" } }),
  too_big: () => ({ body: `{"data":"${"x".repeat(70_000)}"}` }),
  "publishMany too_big": () => ({ body: `{"data":"${"x".repeat(1_100_000)}"}` }),
  bad_frame: () => ({ body: "[]" }),
  too_complex: () => ({ body: `{"data":${deep}}` }),
  bad_channel: inPath("no%20name"),
  "follow bad_channel": inQuery("channel=no%20name"),
  "explain bad_channel": inQuery("action=subscribe&channel=no%20name"),
  "listChannels bad_channel": inQuery("prefix=no%20name"),
  bad_key: ({ headers }) => ({ headers: { ...headers, "Idempotency-Key": "two words" } }),
  bad_event: () => ({ body: "{}" }),
  reserved_channel: inPath("job:1"),
  async key_reused(wanted) {
    const headers = { ...wanted.headers, "Idempotency-Key": "once" };
    await expectStatus({ ...wanted, headers }, 201);
    return { headers, body: '{"data":2}' };
  },
  backplane_unavailable: () => ({ on: cutOff }),
  bad_since: inQuery("since=none"),
  "follow bad_since": inQuery("channel=chat-123&last_event_id=none"),
  "connect bad_since": () => ({ query: "channel=chat-123&cursor=none", headers: HANDSHAKE }),
  bad_limit: inQuery("limit=0"),
  "follow bad_limit": inQuery("channel=chat-123&last=0"),
  history_gone: inQuery("since=epoch-check:1"),
  not_supported: inPath("plain-1"),
  "readEvents bad_frame": inQuery("since=e-c:1&before=e-c:1"),
  "follow bad_frame": inQuery(""),
  "readPresence bad_frame": inQuery("after="),
  "explain bad_frame": inQuery("action=fly&channel=chat-123"),
  "readConnections bad_frame": ({ path }) => ({ path: path.replace("ann", "a".repeat(257)) }),
  "disconnect bad_frame": ({ path }) => ({ path: path.replace("ann", "a".repeat(257)) }),
  too_many_channels: inQuery("channel=a&channel=b&channel=c"),
  bad_handshake: () => ({ headers: { ...HANDSHAKE, "Sec-WebSocket-Key": "short" } }),
  bad_subprotocol: () => ({ headers: { "Sec-WebSocket-Protocol": "soap" } }),
  upgrade_required: () => ({}),
  too_many_revocations: () => ({ on: sated }),
  over_capacity: () => ({ on: full }),
  too_many_connections: () => ({ on: crowded }),
  shutting_down: ({ id }) => ({ on: leaving, agent: inside.get(id) as Agent }),
  async handshake_rate(wanted) {
    await ask(toAsk({ ...wanted, on: slow }));
    return { on: slow };
  },
};

/** How an answer other than the usual one is got: by operation and status, or media type. */
const SUCCEEDED: Readonly<Record<string, Change>> = {
  "publishMany 207": () => ({
    body: '{"events":[{"channel":"chat-123","data":1},{"channel":"job:1","data":1}]}',
  }),
  "connect 101": () => ({ headers: HANDSHAKE }),
  "readEvents text/event-stream": () => ({ headers: { Accept: "text/event-stream" } }),
  "readEvents 204": () => ({ headers: { Accept: "text/event-stream", "Last-Event-ID": "stop" } }),
  "openapi 304": () => ({ headers: { "If-None-Match": "*" } }),
  "asyncapi 304": () => ({ headers: { "If-None-Match": "*" } }),
  "docs 304": () => ({ headers: { "If-None-Match": "*" } }),
  "follow 204": () => ({ headers: { "Last-Event-ID": "stop" } }),
};

const isProblem = fits(closed(Problem));

describe.each(OPERATIONS)("$id", ({ id, answers, errors }) => {
  const codes = errors
    .filter((code) => code !== "disconnected") // just while a stream is opened: test/sse-connection.test.ts
    .map((code) => ({ code, status: statusOf(code) }));

  it.each(codes)("answers $status $code", async ({ code, status }) => {
    const change = PROVOKED[`${id} ${code}`] ?? PROVOKED[code];
    if (!change) throw new Error(`nothing here provokes ${code}`);
    const wanted = asked(id);
    const answer = await ask(toAsk({ ...wanted, ...(await change(wanted)) }));
    expect([answer.status, answer.body]).toEqual([status, expect.stringContaining(`"code":"${code}"`)]);
    expect(answer.type).toBe("application/problem+json");
    const problem = JSON.parse(answer.body) as { temporary: boolean };
    expect(isProblem(problem), answer.body).toBe(true);
    expect(answer.headers["retry-after"] !== undefined).toBe(problem.temporary);
    expect(answer.headers["www-authenticate"] !== undefined).toBe(status === 401);
  });

  const expected = answers.flatMap(({ status, content }) =>
    (content ? Object.entries(content) : [["", undefined] as const]).map(([type, schema]) => ({
      status,
      type,
      schema: schema as TSchema | undefined,
    })),
  );

  it.each(expected)("answers $status $type", async ({ status, type, schema }) => {
    const change = SUCCEEDED[`${id} ${type}`] ?? SUCCEEDED[`${id} ${status}`];
    const wanted = asked(id);
    const answer = await ask(toAsk({ ...wanted, ...(await change?.(wanted)) }));
    expect([answer.status, answer.body]).toEqual([status, expect.anything()]);
    expect(answer.type.split(";")[0]).toBe(type);
    if (!schema) return expect(answer.body).toBe("");
    const value: unknown = type === "application/json" ? JSON.parse(answer.body) : answer.body;
    const isDocument = id === "openapi" || id === "asyncapi";
    expect(fits(isDocument ? schema : closed(schema))(value), answer.body.slice(0, 500)).toBe(true);
  });
});

/** What can be wrong with any request. */
const ANYHOW: readonly Code[] = [
  "origin_not_allowed",
  "token_missing",
  "token_invalid",
  "token_expired",
  "token_revoked",
  "auth_unavailable",
  "forbidden",
  "backplane_unavailable",
  "over_capacity",
  "too_many_connections",
  "shutting_down",
  "bad_channel",
  "bad_since",
  "bad_limit",
];
const WITH_A_BODY: readonly Code[] = [
  "unsupported_media_type",
  "too_big",
  "bad_frame",
  "too_complex",
  "bad_event",
];

describe.each(OPERATIONS)("$id, whatever is wrong", (operation) => {
  const documented = new Set<string>([
    ...ANY_REQUEST,
    ...operation.errors,
    ...operation.answers.flatMap(({ within = [] }) => within),
  ]);

  it.each([...ANYHOW, ...(operation.body ? WITH_A_BODY : [])])(
    "answers nothing that is not documented: %s",
    async (code) => {
      const wanted = asked(operation.id);
      const change = await PROVOKED[code]?.(wanted);
      const { status, body } = await ask(toAsk({ ...wanted, ...change }));
      const told = status === 207 || status >= 400 || body.startsWith("event: $error") ? codesIn(body) : [];
      expect(told.filter((one) => !documented.has(one))).toEqual([]);
      if (status >= 400) expect(told.length, body).toBe(1);
    },
  );
});

function codesIn(body: string): string[] {
  return [...body.matchAll(/"code":"(\w+)"/g)].map(([, code = ""]) => code);
}

describe("the document", () => {
  const document = openApi("1.2.3") as { info: { version: string }; paths: Record<string, object> };

  it("is what a node serves, with the version of the node", async () => {
    const served = JSON.parse((await expectStatus(asked("openapi"), 200)).body) as {
      info: { version: string };
    };
    expect({ ...served, info: { ...served.info, version: "1.2.3" } }).toEqual(
      JSON.parse(JSON.stringify(document)),
    );
  });

  it("has every route of the API, and no other", () => {
    const served = apiRoutes({} as ApiOptions).map(
      ({ method, path }) => `${method === "del" ? "delete" : method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`,
    );
    const documented = OPERATIONS.filter(({ path }) => path.startsWith("/v1/"));
    expect(documented.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(served.sort());
  });

  it("has examples that fit their schemas", () => {
    let examples = 0;
    for (const { body, answers } of OPERATIONS) {
      const schemas = [body, ...answers.flatMap(({ content = {} }) => Object.values(content))];
      for (const schema of schemas as (TSchema & { examples?: unknown[] })[]) {
        for (const example of schema?.examples ?? []) {
          examples++;
          expect(fits(closed(schema))(example), JSON.stringify(example)).toBe(true);
        }
      }
    }
    expect(examples).toBeGreaterThan(10);
  });

  it("says of every field and parameter what it is, and of every number what it counts", () => {
    expect(undescribed(document)).toEqual([]);
    const parameters = Object.values(document.paths).flatMap((path) =>
      Object.values(
        path as Record<string, { parameters?: { name: string; description?: string }[] }>,
      ).flatMap(({ parameters = [] }) => parameters),
    );
    expect(parameters.length).toBeGreaterThan(20);
    expect(parameters.filter(({ description }) => !description).map(({ name }) => name)).toEqual([]);
  });

  it("leaves out no code that a request can be answered with", () => {
    const missing = codeEntries().filter(
      ({ status, operations, anywhere }: CodeEntry) =>
        status !== undefined && operations.length === 0 && !anywhere,
    );
    expect(missing.map(({ code }) => code)).toEqual([]);
  });

  it("has no pattern that the regular expressions of other languages do not know", () => {
    expect(JSON.stringify(document)).not.toMatch(/"pattern":"[^"]*\\\\[pPuk]/);
  });
});
