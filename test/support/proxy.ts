import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** Both ends of a connection: of who came, and of where it goes. */
interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

/**
 * A TCP proxy that does what networks do. It can turn into a black hole: what it has swallowed gets neither an answer nor
 * an end. It can stall, as if one end had stopped to read. And it can alter what comes back.
 */
export class TcpProxy {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #swallowed = new Set<Pair>();
  #stalled = new Set<Pair>();
  /** What is forwarded in the place of what the target has sent. */
  answer: (chunk: Buffer) => Buffer = (chunk) => chunk;

  private constructor(target: number) {
    this.#server = createServer((near) => {
      const pair = { near, far: connect({ port: target, host: "127.0.0.1" }) };
      this.#pairs.add(pair);
      this.#pass(pair, "near", "far");
      this.#pass(pair, "far", "near");
    });
  }

  static async start(target: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** How many connections there are that were not swallowed. */
  get connections(): number {
    return this.#pairs.size - this.#swallowed.size;
  }

  /** Forwards nothing more on the connections that there are now. New ones work. */
  swallow(): void {
    this.#swallowed = new Set(this.#pairs);
  }

  /** Reads no more from every so manieth of the connections that there are now, until `goOn`. @returns how many those are */
  stall(every: number): number {
    this.#stalled = new Set([...this.#pairs].filter((_, i) => i % every === 0));
    for (const { near, far } of this.#stalled) {
      near.pause();
      far.pause();
    }
    return this.#stalled.size;
  }

  goOn(): void {
    for (const { near, far } of this.#stalled) {
      near.resume();
      far.resume();
    }
    this.#stalled.clear();
  }

  stop(): void {
    this.#server.close();
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }

  #pass(pair: Pair, one: keyof Pair, other: keyof Pair): void {
    const { [one]: from, [other]: to } = pair;
    from.on("error", () => {}); // followed by `close`
    from.on("data", (chunk) => {
      if (!this.#swallowed.has(pair)) to.write(one === "far" ? this.answer(chunk) : chunk);
    });
    from.on("close", () => {
      // The other end of what was swallowed hears of no end, either.
      if (!this.#swallowed.has(pair)) to.destroy();
      if (from.destroyed && to.destroyed) {
        this.#pairs.delete(pair);
        this.#swallowed.delete(pair);
      }
    });
  }
}
