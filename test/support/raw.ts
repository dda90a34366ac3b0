import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

/** An HTTP answer as it came over the wire. */
export interface RawAnswer {
  status: number;
  /** By lower-case name; several of one name are joined by a comma. */
  headers: Record<string, string>;
  body: string;
}

/** A request head. A header that is `undefined` is left out. */
export function head(
  line: string,
  headers: Record<string, string | undefined>,
  ending: "\r\n" | "\n" = "\r\n",
): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return [line, ...lines, "", ""].join(ending);
}

/** The headers of a good handshake. */
export function handshakeHeaders(
  more: Record<string, string | undefined> = {},
): Record<string, string | undefined> {
  return {
    Host: "127.0.0.1",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
    ...more,
  };
}

/**
 * Sends bytes over a fresh connection and reads one answer, or `undefined` when the connection ends without one.
 * @param segments each goes out on its own
 */
export async function exchange(
  port: number,
  ...segments: (string | Buffer)[]
): Promise<RawAnswer | undefined> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const bodyless = segments[0]?.toString().startsWith("HEAD ") ?? false;
  let received = Buffer.alloc(0);
  try {
    return await new Promise((resolve, reject) => {
      socket.setTimeout(10_000, () =>
        reject(new Error(`no answer in 10 s, only ${JSON.stringify(String(received))}`)),
      );
      socket.on("error", (error: NodeJS.ErrnoException) => {
        // An end without an answer can look like this too.
        if (error.code === "ECONNRESET" || error.code === "EPIPE")
          resolve(parseAnswer(received, bodyless, true));
        else reject(error);
      });
      socket.on("data", (chunk) => {
        received = Buffer.concat([received, chunk]);
        const answer = parseAnswer(received, bodyless, false);
        if (answer) resolve(answer);
      });
      socket.on("end", () => resolve(parseAnswer(received, bodyless, true)));
      void sendSegments(socket, segments);
    });
  } finally {
    socket.destroy();
  }
}

/** A handshake that is good but for `headers` and `line`, and its answer. */
export async function shake(
  port: number,
  headers: Record<string, string | undefined> = {},
  line = "GET /ws HTTP/1.1",
  body = "",
): Promise<RawAnswer> {
  const answer = await exchange(port, head(line, handshakeHeaders(headers)) + body);
  if (!answer) throw new Error("the connection ended without an answer");
  return answer;
}

/** The same question as a plain request. */
export async function ask(
  port: number,
  headers: Record<string, string> = {},
  path = "/ws",
  method = "GET",
): Promise<RawAnswer> {
  const answer = await exchange(port, head(`${method} ${path} HTTP/1.1`, { Host: "127.0.0.1", ...headers }));
  if (!answer) throw new Error("the connection ended without an answer");
  return answer;
}

/** The body of a problem+json answer (RFC 9457), which has to be one. */
export function problem({ status, headers, body }: RawAnswer): Record<string, unknown> {
  const value = JSON.parse(body) as Record<string, unknown>;
  const type = headers["content-type"];
  if (type !== "application/problem+json" || value.status !== status || typeof value.code !== "string") {
    throw new Error(`${status} ${type} is no problem+json: ${body}`);
  }
  return value;
}

async function sendSegments(socket: Socket, segments: (string | Buffer)[]): Promise<void> {
  for (const segment of segments) {
    await new Promise((resolve) => socket.write(segment, resolve));
    if (segments.length > 1) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function parseAnswer(bytes: Buffer, bodyless: boolean, ended: boolean): RawAnswer | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [status = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
  }
  const body = bytes.subarray(end + 4);
  const code = Number(status.split(" ")[1]);
  const length =
    bodyless || code === 101 || code === 204
      ? 0
      : Number(headers["content-length"] ?? (ended ? body.length : Infinity));
  if (body.length < length && !ended) return undefined;
  return { status: code, headers, body: body.toString("utf8", 0, length) };
}

export const OPCODE = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface RawFrame {
  opcode: number;
  payload: Buffer;
}

/** A WebSocket on a bare socket: it answers nothing by itself, no ping and no close. */
export class RawWebSocket {
  readonly socket: Socket;
  readonly frames: RawFrame[] = [];
  /** The connection is over; with the code of the close frame, if there was one. */
  readonly ended: Promise<number | undefined>;
  #received: Buffer;

  constructor(socket: Socket, received: Buffer) {
    this.socket = socket;
    this.#received = received;
    socket.on("data", (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#parse();
    });
    this.ended = new Promise((resolve) => socket.on("close", () => resolve(this.closeCode)));
    this.#parse();
  }

  static open(port: number, path: string, headers: Record<string, string> = {}): Promise<RawWebSocket> {
    return RawWebSocket.upgrade(connect({ port, host: "127.0.0.1", noDelay: true }), path, headers);
  }

  /** Over a connection that may be there already. */
  static async upgrade(socket: Socket, path: string, headers: Record<string, string>): Promise<RawWebSocket> {
    socket.write(head(`GET ${path} HTTP/1.1`, handshakeHeaders(headers)));
    const received = await new Promise<Buffer>((resolve, reject) => {
      let bytes = Buffer.alloc(0);
      const onData = (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        if (!bytes.includes("\r\n\r\n")) return;
        socket.off("data", onData);
        resolve(bytes);
      };
      socket.on("data", onData);
      socket.on("error", reject);
      socket.on("end", () => reject(new Error("the connection ended before the handshake")));
    });
    const end = received.indexOf("\r\n\r\n") + 4;
    if (!received.subarray(0, 12).includes(" 101")) throw new Error(received.toString());
    return new RawWebSocket(socket, received.subarray(end));
  }

  get closeCode(): number | undefined {
    const payload = this.frames.find((frame) => frame.opcode === OPCODE.close)?.payload;
    return payload && payload.length >= 2 ? payload.readUInt16BE(0) : undefined;
  }

  send(opcode: number, payload: string | Buffer): void {
    this.socket.write(frame(opcode, Buffer.from(payload)));
  }

  stop(): void {
    this.socket.destroy();
  }

  #parse(): void {
    for (;;) {
      const bytes = this.#received;
      if (bytes.length < 2) return;
      const short = bytes.readUInt8(1) & 0x7f;
      const start = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (bytes.length < start) return;
      const length =
        short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
      if (bytes.length < start + length) return;
      this.frames.push({ opcode: bytes.readUInt8(0) & 0x0f, payload: bytes.subarray(start, start + length) });
      this.#received = bytes.subarray(start + length);
    }
  }
}

/** A client's frame, whole and masked, for payloads of up to 65,535 bytes. */
export function frame(opcode: number, payload: Buffer): Buffer {
  const mask = randomBytes(4);
  const masked = payload.map((byte, i) => byte ^ (mask[i % 4] as number));
  const length =
    payload.length < 126 ? [0x80 | payload.length] : [0x80 | 126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from([0x80 | opcode, ...length]), mask, masked]);
}
