import { formatId } from "../protocol/position.ts";
import type { Claim } from "./claim.ts";
import { Connection, type Frame } from "./connection.ts";
import { retryDelay } from "./retry.ts";

export interface StrangerOptions {
  /** `ws://…/ws` */
  readonly url: string;
  token(): string;
  readonly maxRetryMs: number;
}

const EVERY_MS = 500;

/**
 * Somebody without a grant, who knows ids of the channels all the same (once had one, say), and tries to resume there.
 */
export class Stranger {
  readonly #claims: readonly Claim[];
  readonly #options: StrangerOptions;
  #connection: Connection | undefined;
  #retry: NodeJS.Timeout | undefined;
  readonly #timer: NodeJS.Timeout;
  #tries = 0;
  #failed = 0;
  /** How often it was refused, as it should be. */
  refused = 0;
  /** What it was sent without a right: confirmations and events. */
  letIn = 0;

  constructor(claims: readonly Claim[], options: StrangerOptions) {
    this.#claims = claims;
    this.#options = options;
    this.#connect();
    this.#timer = setInterval(() => this.#try(), EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#retry);
    this.#connection?.cut();
  }

  #connect(): void {
    this.#connection = new Connection({
      url: this.#options.url,
      token: this.#options.token(),
      onFrame: (frame) => this.#hear(frame),
      onEnd: () => {
        const wait = retryDelay(this.#failed++, this.#options.maxRetryMs);
        this.#retry = setTimeout(() => this.#connect(), wait);
      },
    });
  }

  #try(): void {
    const claim = this.#claims[this.#tries++ % this.#claims.length];
    if (!claim?.position) return;
    const since = formatId(claim.position);
    this.#connection?.send({ type: "subscribe", ref: this.#tries, channel: claim.channel, since });
  }

  #hear({ type, code, timestamp }: Frame): void {
    if (type === "welcome") this.#failed = 0;
    if (type === "error" && code === "forbidden") this.refused++;
    if (type === "subscribed" || timestamp !== undefined) this.letIn++;
  }
}
