import { handshakeHeaders, head } from "../support/raw.ts";
import { token } from "../support/token.ts";
import { wire } from "./frames.ts";
import type { Random } from "./random.ts";

/* Inputs that are nearly right get further into the code than noise does: most of these are good ones, damaged. */

const bearer = `Bearer ${token()}`;
const body = '{"type":"order","data":{"a":[1,2,3]}}';
const posted = {
  Host: "127.0.0.1",
  Authorization: bearer,
  "Content-Type": "application/json",
  "Content-Length": String(body.length),
};
const REQUESTS: readonly string[] = [
  head("GET /ws HTTP/1.1", handshakeHeaders({ Authorization: bearer })),
  head(
    "GET /ws?channel=a&channel=b HTTP/1.1",
    handshakeHeaders({ "Sec-WebSocket-Protocol": "tidegate.v1, x" }),
  ),
  head("POST /v1/channels/a/events HTTP/1.1", posted) + body,
  `${head("POST /v1/channels/a/events HTTP/1.1", {
    ...posted,
    "Content-Length": undefined,
    "Transfer-Encoding": "chunked",
  })}${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  head("POST /v1/revocations HTTP/1.1", posted) + body,
  head("GET /v1/explain?action=publish&channel=a HTTP/1.1", { Host: "127.0.0.1", Authorization: bearer }),
  head("OPTIONS /v1/explain HTTP/1.1", { Host: "127.0.0.1", Origin: "https://a", "Content-Length": "0" }),
  head("DELETE /v1/users/%e4%b8%96/connections HTTP/1.1", { Host: "127.0.0.1", Authorization: bearer }),
];

const COMMANDS: readonly string[] = [
  '{"type":"ping","ref":1}',
  `{"type":"auth","token":"${token()}","ref":"a"}`,
  '{"type":"subscribe","channel":"fuzz","ref":2}',
  '{"type":"subscribe","channels":[{"channel":"a"},{"channel":"b:c.d-e_f"}],"ref":3}',
  '{"type":"unsubscribe","channel":"fuzz","ref":4}',
  '{"type":"publish","channel":"fuzz","data":{"text":"\\u00e9\\ud83d\\ude00","n":[1,-2.5e3,null,true]},"ref":5}',
  '{"type":"publish","channel":"fuzz","event":{"type":"order","data":[[]],"sender":"ann"},"echo":false,"ref":6}',
  '{"type":"message","channel":"fuzz","text":"Hi back!","ref":7}',
];
const ODD = [
  '"',
  "\\",
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  "null",
  "1e999",
  "-",
  "0",
  '"__proto__":',
  "\\u0000",
  "\\ud800",
  "\0",
  "é",
  "\u2028",
  "*",
  " ",
  "\r\n",
  ";",
  "%00",
  "HTTP/1.1",
  "Content-Length: 1\r\n",
  "=",
  "&",
];

/** With one to four changes: bytes flipped, cut out, doubled, put in, moved. */
function damage(random: Random, input: Buffer): Buffer {
  let bytes = Buffer.from(input);
  for (let changes = 1 + random.below(4); changes > 0; changes--) {
    const at = random.below(bytes.length + 1);
    const end = Math.min(bytes.length, at + random.below(16));
    const [before, piece, after] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)];
    const change = random.below(6);
    if (change === 0) bytes = Buffer.concat([before, after]);
    else if (change === 1) bytes = Buffer.concat([before, piece, piece, after]);
    else if (change === 2) bytes = Buffer.concat([before, random.bytes(random.below(8)), after]);
    else if (change === 3) bytes = Buffer.concat([before, Buffer.from(random.of(ODD)), piece, after]);
    else if (change === 4) bytes = Buffer.concat([after, before, piece]);
    else if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
  }
  return bytes;
}

/** One connection's bytes, in one to three writes. */
export function http(random: Random): Buffer[] {
  const bytes =
    random.below(8) === 0
      ? random.bytes(1 + random.below(600))
      : damage(random, Buffer.from(random.of(REQUESTS)));
  const cuts = random.times(random.below(3), () => random.below(bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...cuts].map((from, i) => bytes.subarray(from, cuts[i] ?? bytes.length));
}

/** What follows a good handshake. */
export function frames(random: Random): Buffer {
  const one = () => {
    const payload = random.of([
      () => Buffer.from(random.of(COMMANDS)),
      () => damage(random, Buffer.from(random.of(COMMANDS))),
      () => random.bytes(random.below(200)),
    ])();
    const shape = {
      fin: random.below(5) > 0,
      rsv: random.below(12) === 0 ? random.below(8) : 0,
      ...(random.below(12) === 0 && { masked: random.of([false, "key only"] as const) }),
      ...(random.below(12) === 0 && {
        length: BigInt(random.below(300)),
        lengthBits: random.of([16, 64] as const),
      }),
    };
    return wire(random.of([0, 0, 1, 1, 1, 1, 2, 8, 9, 9, 10, 10, random.below(16)]), payload, shape);
  };
  const bytes = Buffer.concat(random.times(1 + random.below(12), one));
  return random.below(3) === 0 ? damage(random, bytes) : bytes;
}

/** The text of one frame. */
export function json(random: Random): string {
  return damage(random, Buffer.from(random.of(COMMANDS))).toString();
}
