import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy that can turn into a black hole: what it has swallowed gets neither an answer nor an end. */
export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #swallowed = new Set<Socket>();

  private constructor(target: number) {
    this.#server = createServer((near) => {
      const far = connect({ port: target, host: "127.0.0.1" });
      this.#pass(near, far);
      this.#pass(far, near);
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
    return (this.#sockets.size - this.#swallowed.size) / 2;
  }

  /** Forwards nothing more on the connections that there are now. New ones work. */
  swallow(): void {
    this.#swallowed = new Set(this.#sockets);
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #pass(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on("error", () => {}); // followed by `close`
    from.on("data", (chunk) => {
      if (!this.#swallowed.has(from)) to.write(chunk);
    });
    from.on("close", () => {
      this.#sockets.delete(from);
      if (!this.#swallowed.delete(from)) to.destroy();
    });
  }
}
