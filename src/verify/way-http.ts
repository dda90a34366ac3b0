import { isObject, parse } from "../protocol/json.ts";
import { ANSWER_MS, idIn, NotPublished, type Outgoing, type Way } from "./way.ts";

/** `POST /v1/channels/{channel}/events` with an `Idempotency-Key`. */
export class HttpWay implements Way {
  readonly #url: string;
  readonly #token: () => string;
  readonly #stopped = new AbortController();

  /** @param url `http://host:port` */
  constructor(url: string, token: () => string) {
    this.#url = url;
    this.#token = token;
  }

  async publish({ channel, data, key }: Outgoing): Promise<string> {
    const { status, body } = await this.#post(channel, `{"data":${data}}`, key);
    const answer = parse(body);
    if (status === 201 && isObject(answer)) return idIn(answer);
    throw new NotPublished(`${status} ${body.trim().slice(0, 300)}`, status === 429 || status >= 500);
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #post(channel: string, body: string, key: string): Promise<{ status: number; body: string }> {
    try {
      const response = await fetch(`${this.#url}/v1/channels/${channel}/events`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${this.#token()}`,
          "content-type": "application/json",
          "idempotency-key": key,
        },
        body,
        signal: AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(ANSWER_MS)]),
      });
      return { status: response.status, body: await response.text() };
    } catch (error) {
      const { cause, message } = error as Error & { cause?: Error };
      throw new NotPublished(cause?.message || message, true);
    }
  }
}
