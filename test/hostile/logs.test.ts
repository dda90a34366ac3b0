import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect } from "vitest";
import { until } from "../../deploy/local/process.ts";
import { metric } from "../support/metrics.ts";
import { exchange, handshakeHeaders, head } from "../support/raw.ts";
import { type GatewayNode, logOf, sharedStage, test } from "../support/servers.ts";
import { token } from "../support/token.ts";
import { expectUnharmed, UNLIMITED } from "./unharmed.ts";

/** No line needs more, however long a name was. */
const MAX_LINE = 4_096;
/** Log lines leave the node every 200 ms. */
const FLUSH_MS = 250;

/** What moves the cursor, ends a line for somebody, or turns text round. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

const stage = sharedStage();
let node: GatewayNode;

beforeAll(async () => {
  const env = {
    ...UNLIMITED,
    TIDEGATE_LOG_LEVEL: "debug",
    TIDEGATE_ALLOWED_ORIGINS: "https://app.example.com",
    TIDEGATE_TRUSTED_PROXIES: "127.0.0.1/32",
    TIDEGATE_TOKEN_COOKIE: "session",
  };
  node = await stage.node({ env });
});

/** What would end a line, forge one, colour a terminal or fill the disk. */
const POISON: readonly (readonly [string, string])[] = [
  ["a line break", "x\n"],
  ["CR and LF", "x\r\n"],
  ["a forged line", 'x"}\n{"level":60,"msg":"forged"}'],
  ["a forged field", 'x","level":60,"forged":"1'],
  ["ANSI colour", "x\x1b[31mred\x1b[0m"],
  ["an ANSI title", "x\x1b]0;title\x07"],
  ["ANSI in C1", "x\u009b31mred"],
  ["backspaces", "x\b\b\b"],
  ["NUL", "x\0y"],
  ["line separators", "x\u2028\u2029\u0085"],
  ["text from right to left", "x\u202e"],
  ["a lone surrogate", "x\ud800"],
  ["15 KB", "x".repeat(15_000)],
  ["15 KB of line breaks", "\n".repeat(15_000)],
  ["15 KB of two-byte characters", "é".repeat(7_500)],
];

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
/** As a token or a URL can hold it: without lone surrogates. */
const wellFormed = (text: string) => Buffer.from(text).toString();
/** As bytes, so that what is no ASCII goes out as UTF-8. */
const sent = (text: string) => exchange(node.port, Buffer.from(text));

describe("what a client writes", () => {
  test.for(POISON)("with %s stays within its log line", async ([, poison], { stage }) => {
    const before = node.output.length;
    const sub = wellFormed(poison).slice(0, 256);
    const client = await stage.client(node.webSocketUrl, { token: token({ sub, channels: {} }) });
    for (const frame of [
      { type: "subscribe", channel: "of-somebody-else" },
      { type: "subscribe", channel: poison },
      { type: poison },
      { type: "publish", channel: "a", event: { type: poison, data: 1, sender: poison } },
      { type: "ping", ref: poison },
      { type: "auth", token: poison },
      poison,
    ]) {
      client.send(frame);
    }
    await client.request({ type: "ping" });

    const short = poison.slice(0, 5_000);
    const encoded = encodeURIComponent(wellFormed(short));
    const strange = (name: string, value: string) =>
      head("GET /ws HTTP/1.1", handshakeHeaders({ [name]: value }));
    const requests = [
      strange("Origin", `https://${short}`),
      strange("Sec-WebSocket-Protocol", short),
      strange("Cookie", `session=${short}`),
      strange("X-Forwarded-For", short),
      strange("Authorization", `Bearer ${short}`),
      strange("Authorization", `Bearer ${part({ alg: short })}.${part({})}.`),
      strange("Authorization", `Bearer ${part({ alg: "HS256", kid: short })}.${part({})}.`),
      head(`GET /v1/${short} HTTP/1.1`, { Host: "127.0.0.1" }),
      head(`GET /v1/${encoded} HTTP/1.1`, { Host: "127.0.0.1" }),
      head(`GET /ws?token=${encoded} HTTP/1.1`, handshakeHeaders()),
    ];
    // What is no header makes the library wait: its silence is not ours to wait for.
    await Promise.all(requests.map((request) => Promise.race([sent(request), sleep(100)])));
    await sleep(FLUSH_MS);
    await until("its user is logged", () => logOf(node).some((entry) => entry.user === sub));
    const lines = node.output.slice(before);
    for (const line of lines) {
      expect(line.length, line.slice(0, 200)).toBeLessThan(MAX_LINE);
      expect(line).toMatch(/^\{"level":\d\d,.*\}$/s);
      expect(JSON.parse(line)).not.toHaveProperty("forged");
    }
    expect(lines.some((line) => UNPRINTABLE.test(line))).toBe(false);
  });
});

test("a thousand bad tokens are counted one by one, and logged by the sample", async ({ stage }) => {
  const tried = await stage.node({ env: UNLIMITED });
  const attempts = 1_000;
  const Authorization = `Bearer ${token({ key: "another-secret-of-32-bytes-or-more-0000" })}`;
  const request = head("GET /ws HTTP/1.1", handshakeHeaders({ Authorization }));
  const attempt = async () => expect((await exchange(tried.port, request))?.status).toBe(401);
  for (let made = 0; made < attempts; made += 50) {
    await Promise.all(Array.from({ length: 50 }, attempt));
  }
  await sleep(200);
  await attempt(); // the next line that may be written says how many were not
  expect(await metric(tried, 'tidegate_handshakes_refused_total{code="token_invalid"}')).toBe(attempts + 1);
  const lines = () => logOf(tried).filter((entry) => entry.code === "token_invalid");
  const unlogged = () => lines().reduce((sum, entry) => sum + Number(entry.unlogged ?? 0), 0);
  await until("all are accounted for", () => lines().length + unlogged() === attempts + 1);
  expect(lines().length).toBeLessThan(attempts / 3);
  await expectUnharmed(tried);
});

test("the node is unharmed", () => expectUnharmed(node));
