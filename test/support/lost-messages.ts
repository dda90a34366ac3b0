/** How a message of pub/sub begins, in RESP2 and in RESP3: its Redis channel, and the bytes of what was published. */
const BEGINNING = /[*>]3\r\n\$7\r\nmessage\r\n\$\d+\r\n([^\r]+)\r\n\$(\d+)\r\n/g;
const END = "\r\n".length;

/**
 * What Redis sends without some messages of pub/sub: nothing shows that they were lost, and all else passes. A message
 * that does not come in one piece is let through.
 */
export class LostMessages {
  /** So many there were. */
  count = 0;
  readonly #isLost: (channel: string) => boolean;

  constructor(isLost: (channel: string) => boolean) {
    this.#isLost = isLost;
  }

  /** For `TcpProxy.answer`. */
  readonly cut = (chunk: Buffer): Buffer => {
    const kept: Buffer[] = [];
    let at = 0;
    for (const { 0: beginning, 1: channel = "", 2: bytes, index } of chunk
      .toString("latin1")
      .matchAll(BEGINNING)) {
      const end = index + beginning.length + Number(bytes) + END;
      if (index < at || end > chunk.length || !this.#isLost(channel)) continue;
      this.count++;
      kept.push(chunk.subarray(at, index));
      at = end;
    }
    return Buffer.concat([...kept, chunk.subarray(at)]);
  };
}
