import { channelName } from "./events.ts";
import { textFrame } from "./frames.ts";
import { random } from "./random.ts";
import { tokenSigner } from "./token.ts";
import { upgradeRequest } from "./upgrade-request.ts";

const [CONTINUATION, TEXT, PING] = [0, 1, 9];
/** `TIDEGATE_MAX_FRAME_BYTES`, by default. */
const LIMIT = 65_536;
const FORGER = "a-secret-that-the-node-has-never-heard-of";
const next = random(1);
const below = (end: number): number => Math.floor(next() * end);
const of = <T>(list: readonly T[]): T => list[below(list.length)] as T;
const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => below(256)));

/** A client's frame; the zero key is a legal one. */
function frame(opcode: number, payload: string | Buffer, { final = true, says = -1 } = {}): Buffer {
  const plain = Buffer.from(payload);
  const length = says < 0 ? plain.length : says;
  const size = Buffer.alloc(length < 126 ? 1 : length < 65_536 ? 3 : 9);
  size[0] = 0x80 | (length < 126 ? length : length < 65_536 ? 126 : 127);
  if (size.length === 3) size.writeUInt16BE(length, 1);
  if (size.length === 9) size.writeBigUInt64BE(BigInt(length), 1);
  return Buffer.concat([Buffer.from([(final ? 0x80 : 0) | opcode]), size, Buffer.alloc(4), plain]);
}

/** A message in so many frames of so many bytes. */
function fragments(count: number, length: number): Buffer {
  const part = " ".repeat(length);
  const rest = Array.from({ length: count - 1 }, (_, i) =>
    frame(CONTINUATION, part, { final: i === count - 2 }),
  );
  return Buffer.concat([frame(TEXT, '{"type":"ping"}', { final: false }), ...rest]);
}

export const pings = (count: number): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => frame(PING, "x")));

const COMMANDS = [
  '{"type":"ping","ref":1}',
  '{"type":"subscribe","channels":[{"channel":"a"},{"channel":"b:c.d-e_f"}],"ref":3}',
  '{"type":"unsubscribe","channel":"a","ref":4}',
  '{"type":"publish","channel":"a","data":{"text":"\\u00e9\\ud83d\\ude00","n":[1,-2.5e3,null]},"ref":5}',
  '{"type":"message","channel":"a","text":"Hi back!","ref":7}',
];
const BODY = '{"type":"order","data":{"a":[1,2,3]}}';
const REQUESTS = [
  upgradeRequest([channelName(1)], "eyJhbGciOiJIUzI1NiJ9.e30.x").toString(),
  `POST /v1/channels/a/events HTTP/1.1\r\nHost: a\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
  `POST /v1/revocations HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n0\r\n\r\n`,
  "GET /v1/explain?action=publish&channel=%e4%b8%96 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a.b.c\r\n\r\n",
];
const ODD = [
  '"',
  "\\",
  "{",
  "[",
  ",",
  "1e999",
  '"__proto__":',
  "\\ud800",
  "\0",
  "é",
  "\r\n",
  ":",
  "%00",
  "HTTP/1.1",
];

/** With one to four changes: nearly right gets further into the code than noise does. */
function damaged(good: string | Buffer): Buffer {
  let whole = Buffer.from(good);
  for (let changes = 1 + below(4); changes > 0; changes--) {
    const at = below(whole.length + 1);
    const end = Math.min(whole.length, at + below(16));
    const [before, piece, after] = [whole.subarray(0, at), whole.subarray(at, end), whole.subarray(end)];
    const put = of([[], [piece, piece], [bytes(below(8))], [Buffer.from(of(ODD)), piece]]);
    whole = Buffer.concat([before, ...put, after]);
  }
  return whole;
}

/** Frames of commands, some damaged within and some without, and of noise. */
function fuzz(): Buffer {
  const frames = Array.from({ length: 1 + below(12) }, () => {
    const payload = of([() => of(COMMANDS), () => damaged(of(COMMANDS)), () => bytes(below(200))])();
    const opcode = of([CONTINUATION, TEXT, TEXT, TEXT, TEXT, 2, 8, PING, 10, below(16)]);
    return frame(opcode, payload, { final: below(5) > 0, says: below(12) === 0 ? below(300) : -1 });
  });
  const all = Buffer.concat(frames);
  return below(3) === 0 ? damaged(all) : all;
}

/** JSON of the most bytes allowed: too deep, with too many keys, a command full of escapes, and one of numbers. */
const BOMBS = [
  `{"type":"publish","channel":"a","data":${"[".repeat(LIMIT / 2 - 100)}${"]".repeat(LIMIT / 2 - 100)}}`,
  `{"type":"publish","channel":"a","data":{${Array.from({ length: 6_000 }, (_, i) => `"k${i}":1`).join(",")}}}`,
  `{"type":"nothing","data":"${"\\u0041".repeat(10_000)}"}`,
  `{"type":"nothing","data":[${"1e5,".repeat(16_000)}1]}`,
].map((json) => frame(TEXT, json));

const pool = <T>(make: () => T, length = 300): T[] => Array.from({ length }, make);

interface Pools {
  /** Handshakes with good tokens, each of another user. */
  handshakes: Buffer[];
  badTokens: Buffer[];
  requests: Buffer[];
  fuzz: Buffer[];
  oversized: Buffer[];
  bombs: Buffer[];
  floods: Buffer[];
}

/** All that is sent, made beforehand: an attacker that counts bytes has less time to send them. */
export function makePools(secret: string): Pools {
  const [sign, forge] = [tokenSigner(secret), tokenSigner(FORGER)];
  const none = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${sign(1).split(".")[1]}.`;
  let user = 1_000_000;
  const bad = (): string =>
    of([
      () => forge(user++),
      () => forge(user++),
      () => sign(user++).slice(0, -3),
      () => none,
      () => "x".repeat(9_000),
    ])();
  return {
    handshakes: pool(() => upgradeRequest([], sign(user++)), 1_000),
    badTokens: pool(() => upgradeRequest([], bad())),
    requests: pool(() => (below(8) === 0 ? bytes(1 + below(600)) : damaged(of(REQUESTS)))),
    fuzz: pool(fuzz),
    // One byte over the limit is answered by a close frame, over twice the limit by none; the last only says so.
    oversized: [LIMIT + 1, 2 * LIMIT + 1]
      .map((length) => frame(TEXT, " ".repeat(length)))
      .concat(frame(TEXT, "x", { says: 2 ** 40 })),
    bombs: BOMBS,
    // As many pings as may come at once, and five times that; messages up to the limit, and over it.
    floods: [pings(200), pings(1_000), fragments(1_000, 60), fragments(3_000, 1), fragments(1_100, 61)],
  };
}

export const DRIPPED = textFrame('{"type":"ping"}');
export const SLOW_HEAD = Buffer.from("GET /ws HTTP/1.1\r\nHost: a\r\n");
export const SLOW_LINE = Buffer.from("X-And: so on\r\n");
