import { OPCODE } from "../support/raw.ts";
import { CONTINUATION, command, type Fate, fragments, type Shape, wire } from "./frames.ts";

const { text, binary, close, ping, pong } = OPCODE;

export interface FrameCase {
  readonly name: string;
  readonly bytes: readonly Buffer[];
  /** What RFC 6455 asks for, or our own limits within it. */
  readonly fate: Fate;
  /** All that is answered. Not compared when undefined: what came before a failure may be answered or not. */
  readonly replies?: readonly string[];
  readonly chop?: number;
  readonly unfinished?: boolean;
}

type Row = readonly [
  name: string,
  bytes: Buffer | readonly Buffer[],
  replies?: readonly string[] | undefined,
];

function rows(family: string, fate: Fate, list: readonly Row[], chop = 0): FrameCase[] {
  return list.map(([name, bytes, replies]) => ({
    name: `${family}: ${name}`,
    bytes: Array.isArray(bytes) ? (bytes as Buffer[]) : [bytes as Buffer],
    fate,
    chop,
    ...(replies && { replies }),
  }));
}

const LIMIT = 65_536;
const ONE_PING = wire(text, command(15));
const NO_JSON = ["error bad_frame"];
const ANSWERED = ["pong"];
const bytes = (...list: number[]) => Buffer.from(list);
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

const COMMAND_LENGTHS = [15, 124, 125, 126, 127, 128, 1_000, 16_384, 65_535, LIMIT];
const lengths = [
  ...rows("length", "alive", [
    ["text of 0", wire(text), NO_JSON],
    ["text of 1", wire(text, "*"), NO_JSON],
    ...COMMAND_LENGTHS.map((n): Row => [`text of ${n}`, wire(text, command(n)), ANSWERED]),
    ...[0, 1, 125, 126, 127, 128, 65_535, LIMIT].map(
      (n): Row => [`binary of ${n}`, wire(binary, Buffer.alloc(n, 0xfe)), NO_JSON],
    ),
    ["ten texts at once", Array(10).fill(ONE_PING), Array(10).fill("pong")],
  ]),
  ...rows("length", "ended", [
    ["text of the limit and one", wire(text, command(LIMIT + 1)), ["CLOSE 4509 too_big"]],
    ["binary of the limit and one", wire(binary, Buffer.alloc(LIMIT + 1)), ["CLOSE 4509 too_big"]],
    ["text of twice the limit", wire(text, command(2 * LIMIT)), ["CLOSE 4509 too_big"]],
    ["text of twice the limit and one", wire(text, command(2 * LIMIT + 1)), []],
    ["fragments over the limit", fragments(text, command(LIMIT), " "), ["CLOSE 4509 too_big"]],
    ["fragments over twice the limit", fragments(text, ...Array(3).fill(command(50_000))), []],
    ["a head of 16 MiB and no body", wire(text, "", { length: 1n << 24n }), []],
    ["a head of 2^32 and no body", wire(text, "", { length: 1n << 32n }), []],
    ["a head of 2^63 - 1 and no body", wire(binary, "", { length: (1n << 63n) - 1n }), []],
    ["a length with its top bit set", wire(text, "", { length: 1n << 63n }), []],
    ["the largest length", wire(text, "", { length: (1n << 64n) - 1n }), []],
  ]),
];

const chops = [1, 2, 3, 7].flatMap((chop) =>
  rows(
    `in writes of ${chop}`,
    "alive",
    [
      ...[15, 125, 126, 128].map((n): Row => [`text of ${n}`, wire(text, command(n)), ANSWERED]),
      ["a ping of 125", wire(ping, Buffer.alloc(125, 1)), [`PONG ${"01".repeat(125)}`]],
      [
        "fragments around a ping",
        [wire(text, '{"type":', { fin: false }), wire(ping, "x"), wire(CONTINUATION, '"ping","ref":"µ"}')],
        ["PONG 78", "pong µ"],
      ],
    ],
    chop,
  ),
);

const largeChops = [997, 1_460, 65_535].flatMap((chop) =>
  rows(
    `in writes of ${chop}`,
    "alive",
    [
      ["text of 65535", wire(text, command(65_535)), ANSWERED],
      [`text of ${LIMIT}`, wire(text, command(LIMIT)), ANSWERED],
      ["twenty texts of 1000", Array(20).fill(wire(text, command(1_000))), Array(20).fill("pong")],
    ],
    chop,
  ),
);

const hex = (payload: Buffer) => `PONG ${payload.toString("hex")}`.trim();
const pingOf = (name: string, payload: Buffer): Row => [name, wire(ping, payload), [hex(payload)]];
const control = [
  ...rows("control", "alive", [
    pingOf("ping of 0", Buffer.alloc(0)),
    pingOf("ping of 1", Buffer.from("x")),
    pingOf("ping of text", Buffer.from("Hello, world!")),
    pingOf("ping that is not UTF-8", bytes(0, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0, 0xff)),
    pingOf("ping of 124", Buffer.alloc(124, 0xfe)),
    pingOf("ping of 125", Buffer.alloc(125, 0xfe)),
    ["ten pings", numbers(0, 9).map((i) => wire(ping, bytes(i))), numbers(0, 9).map((i) => `PONG 0${i}`)],
    ["unasked pong of 0", wire(pong), []],
    ["unasked pong of text", wire(pong, "unasked"), []],
    ["unasked pong of 125", wire(pong, Buffer.alloc(125, 0xff)), []],
    ["unasked pong, then ping", [wire(pong, "a"), wire(ping, "b")], ["PONG 62"]],
    ["pings among texts", [ONE_PING, wire(ping, "a"), ONE_PING], ["pong", "PONG 61", "pong"]],
  ]),
  ...rows(
    "control",
    "ended",
    [ping, pong, close].flatMap((opcode): Row[] => [
      [`opcode ${opcode} of 126`, wire(opcode, Buffer.alloc(126, 0x61)), []],
      [`opcode ${opcode} of 65536`, wire(opcode, Buffer.alloc(65_536, 0x61)), []],
      [`opcode ${opcode} of 126, head alone`, wire(opcode, "", { length: 126n }), []],
      [`opcode ${opcode} in fragments`, fragments(opcode, "a", "b"), []],
      [`opcode ${opcode} not final, empty`, wire(opcode, "", { fin: false }), []],
    ]),
  ),
];

const RSV = numbers(1, 7);
const reserved = rows("reserved", "ended", [
  ...[CONTINUATION, text, binary, close, ping, pong].flatMap((opcode) =>
    RSV.map((rsv): Row => [`bits ${rsv} on opcode ${opcode}`, wire(opcode, "", { rsv }), []]),
  ),
  ...RSV.map((rsv): Row => [`bits ${rsv} behind a good text`, [ONE_PING, wire(text, command(15), { rsv })]]),
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode): Row[] => [
    [`opcode ${opcode}, empty`, wire(opcode), []],
    [`opcode ${opcode}, with a payload`, wire(opcode, "payload"), []],
    [`opcode ${opcode} behind a good text`, [ONE_PING, wire(opcode, "payload")]],
    [`opcode ${opcode} in a message`, [wire(text, "{", { fin: false }), wire(opcode, "}")], []],
  ]),
]);

const half = wire(text, '{"type":', { fin: false });
const rest = wire(CONTINUATION, '"ping"}');
const fragmentation = [
  ...rows("fragments", "alive", [
    ["two", fragments(text, '{"type":', '"ping"}'), ANSWERED],
    ["one for each byte", fragments(text, ...command(15)), ANSWERED],
    ["an empty one first", fragments(text, "", command(15)), ANSWERED],
    ["an empty one last", fragments(text, command(15), ""), ANSWERED],
    ["three empty ones", fragments(text, "", "", ""), NO_JSON],
    ["1000 empty ones in between", fragments(text, "", ...Array(1_000).fill(""), command(15)), ANSWERED],
    ["of 1300 up to the limit", fragments(text, ...(command(LIMIT).match(/.{1,1300}/gs) ?? [])), ANSWERED],
    ["binary", fragments(binary, "a", "b", "c"), NO_JSON],
    ["two messages", [half, rest, half, rest], ["pong", "pong"]],
    ["around a ping", [half, wire(ping, "x"), rest], ["PONG 78", "pong"]],
    ["around a pong", [half, wire(pong, "x"), rest], ANSWERED],
    [
      "around ten pings of 125",
      [half, ...Array(10).fill(wire(ping, Buffer.alloc(125, 1))), rest],
      [...Array(10).fill(`PONG ${"01".repeat(125)}`), "pong"],
    ],
  ]),
  ...rows("fragments", "ended", [
    ["a continuation of nothing", wire(CONTINUATION, command(15)), []],
    ["a continuation of nothing, not final", wire(CONTINUATION, command(15), { fin: false }), []],
    ["an empty continuation of nothing", wire(CONTINUATION), []],
    ["a continuation behind a whole text", [ONE_PING, rest]],
    ["a continuation behind a fragmented text", [half, rest, rest]],
    ["a text within a text", [half, ONE_PING, rest], []],
    ["a binary within a text", [half, wire(binary, "b"), rest], []],
    ["a text within a binary", [wire(binary, "a", { fin: false }), ONE_PING], []],
    ["a text not final within a text", [half, half, rest], []],
    ["a fragmented ping within a text", [half, wire(ping, "x", { fin: false }), rest], []],
    ["a close within a text", [half, wire(close, bytes(3, 232)), rest], ["CLOSE 1000"]],
  ]),
];

const reference = (ref: string) => `{"type":"ping","ref":"${ref}"}`;
const VALID_UTF8 = [
  "κόσμε",
  "Hello-µ@ßöäüàá-UTF-8!!",
  "\u0080",
  "\u07ff",
  "\u0800",
  "\ud7ff",
  "\ue000",
  "\ufeff",
  "\ufffd",
  "\ufffe",
  "\uffff",
  "\u{10000}",
  "\u{1f600}",
  "\u{fffff}",
  "\u{10ffff}",
  "e\u0301",
  "\u202e",
  "\u2028",
];
const INVALID_UTF8: readonly (readonly [string, string])[] = [
  ["a continuation byte alone", "80"],
  ["the last continuation byte alone", "bf"],
  ["seven continuation bytes", "80bf80bf80bf80"],
  ["a start of two alone", "c3"],
  ["a start of two and a space", "c320"],
  ["a start of three alone", "e0"],
  ["a start of three and one more", "e4b8"],
  ["a start of four alone", "f0"],
  ["a start of four and two more", "f09f98"],
  ["a start of five", "f888808080"],
  ["a start of six", "fc8480808080"],
  ["FE", "fe"],
  ["FF", "ff"],
  ["FE FE FF FF", "fefeffff"],
  ["a slash in two bytes", "c0af"],
  ["a slash in three bytes", "e080af"],
  ["a slash in four bytes", "f08080af"],
  ["NUL in two bytes", "c080"],
  ["the largest overlong of two", "c1bf"],
  ["the largest overlong of three", "e09fbf"],
  ["the largest overlong of four", "f08fbfbf"],
  ["a high surrogate", "eda080"],
  ["the last high surrogate", "edafbf"],
  ["a low surrogate", "edb080"],
  ["the last low surrogate", "edbfbf"],
  ["a pair of surrogates", "eda081edb080"],
  ["U+110000", "f4908080"],
  ["F5", "f5808080"],
  ["kosme cut short", "cebae1bdb9cf83cebc6d6cce"],
  ["kosme and a surrogate", "cebae1bdb9cf83cebcceb5eda080656469746564"],
];
const quoted = (payload: Buffer) =>
  Buffer.concat([Buffer.from('{"type":"ping","x":"'), payload, Buffer.from('"}')]);
const utf8 = [
  ...rows("UTF-8", "alive", [
    ...VALID_UTF8.map((ref): Row => [`good ${printable(ref)}`, wire(text, reference(ref)), [`pong ${ref}`]]),
    ...VALID_UTF8.map((ref): Row => {
      const message = Buffer.from(reference(ref));
      return [
        `good ${printable(ref)}, a frame for each byte`,
        fragments(text, ...[...message].map((byte) => bytes(byte))),
        [`pong ${ref}`],
      ];
    }),
    ["bad, yet binary", wire(binary, bytes(0xff, 0xfe)), NO_JSON],
    ["bad, yet in a ping", wire(ping, bytes(0xed, 0xa0, 0x80)), ["PONG eda080"]],
  ]),
  ...rows(
    "UTF-8",
    "ended",
    INVALID_UTF8.flatMap(([name, digits]): Row[] => {
      const bad = Buffer.from(digits, "hex");
      const message = quoted(bad);
      const middle = 20 + Math.ceil(bad.length / 2);
      return [
        [`bad, ${name}`, wire(text, message), []],
        [`bad, ${name}, at the end`, wire(text, bad), []],
        [
          `bad, ${name}, in two frames`,
          fragments(text, message.subarray(0, middle), message.subarray(middle)),
          [],
        ],
      ];
    }),
  ),
];

// RFC 6455 8.1 fails the connection at the bad byte: nobody has to wait for the end of the message.
const early = rows("UTF-8", "ended", [
  ["FF in a message that goes on", wire(text, quoted(bytes(0xff)), { fin: false }), []],
  [
    "a slash in two bytes in a message that goes on",
    wire(text, quoted(bytes(0xc0, 0xaf)), { fin: false }),
    [],
  ],
  ["a surrogate in a message that goes on", wire(text, quoted(bytes(0xed, 0xa0, 0x80)), { fin: false }), []],
  [
    "U+110000 in a message that goes on",
    wire(text, quoted(bytes(0xf4, 0x90, 0x80, 0x80)), { fin: false }),
    [],
  ],
]).map((one) => ({ ...one, unfinished: true }));
const begun = rows("fragments", "alive", [
  ["one, and no more", half, []],
  ["ten empty ones, and no more", [half, ...Array(10).fill(wire(CONTINUATION, "", { fin: false }))], []],
  ["a character cut in two, and no more", wire(text, bytes(0xe4, 0xb8), { fin: false }), []],
]).map((one) => ({ ...one, unfinished: true }));

const closeOf = (code: number, reason: Buffer | string = "") =>
  wire(close, Buffer.concat([bytes(code >> 8, code & 255), Buffer.from(reason)]));
const GOOD_CODES = [
  1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3500, 3999, 4000, 4001,
  4999,
];
const BAD_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 5001, 65_535];
const closes = [
  ...rows("close", "ended", [
    ["empty", wire(close), ["CLOSE"]],
    ...GOOD_CODES.map((code): Row => [`good code ${code}`, closeOf(code), [`CLOSE ${code}`]]),
    ...BAD_CODES.map((code): Row => [`bad code ${code}`, closeOf(code)]),
    ["a reason", closeOf(1000, "bye"), ["CLOSE 1000 bye"]],
    ["a reason of 123", closeOf(1000, "x".repeat(123)), [`CLOSE 1000 ${"x".repeat(123)}`]],
    ["a reason of 124", closeOf(1000, "x".repeat(124)), []],
    ["one byte", wire(close, bytes(3))],
    ...INVALID_UTF8.slice(0, 12).map(
      ([name, digits]): Row => [
        `a reason that is bad UTF-8, ${name}`,
        closeOf(1000, Buffer.from(digits, "hex")),
      ],
    ),
    ["two", [closeOf(1000), closeOf(1001)], ["CLOSE 1000"]],
    ["then a text", [closeOf(1000), ONE_PING], ["CLOSE 1000"]],
    ["then a ping", [closeOf(1000), wire(ping, "x")], ["CLOSE 1000"]],
    ["behind a text", [ONE_PING, closeOf(1000)], ["pong", "CLOSE 1000"]],
    ["then 256 KiB", [closeOf(1000), ...Array(4).fill(wire(binary, Buffer.alloc(LIMIT)))], ["CLOSE 1000"]],
  ]),
];

const masked = (name: string, shape: Shape, replies?: string[]): Row => [
  name,
  wire(text, command(15), shape),
  replies,
];
const framing = [
  ...rows("framing", "alive", [
    masked("a mask of zeros", { key: [0, 0, 0, 0] }, ANSWERED),
    masked("a mask of ones", { key: [255, 255, 255, 255] }, ANSWERED),
  ]),
  ...rows("framing", "ended", [
    // Without the four bytes of a key, a library that does not look at the bit would wait for them.
    masked("a text that denies its mask", { masked: "key only" }),
    ["a ping that denies its mask", wire(ping, "x", { masked: "key only" })],
    ["a close that denies its mask", wire(close, bytes(3, 232), { masked: "key only" }), []],
    masked("15 bytes in a length of 16 bits", { lengthBits: 16 }),
    masked("15 bytes in a length of 64 bits", { lengthBits: 64 }),
    ["no bytes in a length of 16 bits", wire(binary, "", { lengthBits: 16 })],
    ["200 bytes in a length of 64 bits", wire(text, command(200), { lengthBits: 64 })],
    ["a ping with a length of 16 bits", wire(ping, "x", { lengthBits: 16 })],
    ["a ping with a length of 64 bits", wire(ping, "x", { lengthBits: 64 })],
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")],
    ["a TLS hello", Buffer.from("16030100a5010000a10303", "hex")],
    ["zeros", Buffer.alloc(64)],
    ["ones", Buffer.alloc(64, 0xff)],
  ]),
];

/** As printable ASCII, for a test's name. */
function printable(text: string): string {
  return text.replaceAll(/[^ -~]/gu, (c) => `U+${c.codePointAt(0)?.toString(16)}`);
}

export const FRAME_CASES: readonly FrameCase[] = [
  ...lengths,
  ...chops,
  ...largeChops,
  ...control,
  ...reserved,
  ...fragmentation,
  ...begun,
  ...utf8,
  ...early,
  ...closes,
  ...framing,
];
