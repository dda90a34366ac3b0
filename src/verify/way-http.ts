import { isObject, parse } from "../protocol/json.ts";
import { isTemporary } from "./ended.ts";
import {
  type Acknowledgement,
  ANSWER_MS,
  idIn,
  NO_ANSWER,
  NO_CONNECTION,
  NotPublished,
  type Outgoing,
  type Way,
} from "./way.ts";

/** `POST /v1/channels/{channel}/events` with an `Idempotency-Key`. */
export class HttpWay implements Way {
  readonly #url: string;
  readonly #token: () => string;
  readonly #underWay = new Set<AbortController>();

  /** @param url `http://host:port` */
  constructor(url: string, token: () => string) {
    this.#url = url;
    this.#token = token;
  }

  async publish({ channel, data, key }: Outgoing): Promise<Acknowledgement> {
    const { status, body } = await this.#post(channel, `{"data":${data}}`, key);
    const answer = parse(body);
    if (status === 201 && isObject(answer)) return { id: idIn(answer) };
    const code = isObject(answer) && typeof answer.code === "string" ? answer.code : String(status);
    throw new NotPublished(code, `${status} ${body.trim().slice(0, 300)}`, isTemporary(status));
  }

  stop(): void {
    for (const request of this.#underWay) request.abort();
  }

  async #post(channel: string, body: string, key: string): Promise<{ status: number; body: string }> {
    const request = new AbortController();
    const late = new NotPublished(NO_ANSWER, `no answer in ${ANSWER_MS / 1000} s`, true);
    const timer = setTimeout(() => request.abort(late), ANSWER_MS);
    this.#underWay.add(request);
    try {
      const response = await fetch(`${this.#url}/v1/channels/${channel}/events`, {
        method: "POST",
        redirect: "manual",
        headers: {
          authorization: `Bearer ${this.#token()}`,
          "content-type": "application/json",
          "idempotency-key": key,
        },
        body,
        signal: request.signal,
      });
      return { status: response.status, body: await response.text() };
    } catch (error) {
      if (error === late) throw late;
      const { cause, message } = error as Error & { cause?: Error };
      throw new NotPublished(NO_CONNECTION, cause?.message || message, true);
    } finally {
      clearTimeout(timer);
      this.#underWay.delete(request);
    }
  }
}
