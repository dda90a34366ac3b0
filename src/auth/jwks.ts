import { JwksClient } from "jwks-rsa";
import type { Logger } from "pino";
import { publicKey, type VerificationKey } from "./keys.ts";

/** A key server that is slower than this is down, to a handshake that waits for it. */
const TIMEOUT_MS = 1_000;
/** Between two fetches, whatever tokens ask for: unknown `kid`s cannot make us hammer the endpoint. */
const MIN_INTERVAL_MS = 30_000;
/** After a fetch that failed: sooner, since no key may be known yet. */
const RETRY_INTERVAL_MS = 2_000;
/** Keys that a server withdrew stop counting within this time. */
const MAX_AGE_MS = 60_000;
const MAX_BYTES = 64 * 1024;

/** The public keys behind a JWKS URL (RFC 7517), refetched when a token names an unknown one. */
export class Jwks {
  #keys: VerificationKey[] = [];
  /** When the present key set was asked for, in ms since the epoch; before the first one, -Infinity. */
  fetchedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #failed = true;
  #fetching: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #client: JwksClient;
  readonly #log: Logger;

  constructor(url: string, log: Logger) {
    this.#log = log;
    // Neither its cache (per kid: an unknown one always fetches) nor its rate limit (attackers burn the budget
    // of honest tokens): the whole set is fetched, and when is decided here.
    this.#client = new JwksClient({ jwksUri: url, cache: false, rateLimit: false, fetcher: fetchKeySet });
  }

  get keys(): readonly VerificationKey[] {
    return this.#keys;
  }

  /** Fetches, and again whenever the keys have become old, so that a withdrawn one stops counting. */
  start(): void {
    void this.refresh();
    this.#timer = setInterval(() => void this.refresh(), MAX_AGE_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Whether fetching now could bring a key that is not known. */
  get mayRefresh(): boolean {
    const interval = this.#failed ? RETRY_INTERVAL_MS : MIN_INTERVAL_MS;
    return this.#fetching !== undefined || performance.now() - this.#triedAt >= interval;
  }

  /** Whether a key set was ever fetched. */
  get available(): boolean {
    return this.fetchedAt > 0;
  }

  /** Fetches the key set, once for all who ask meanwhile. Never rejects: a failure is logged, old keys stay. */
  refresh(): Promise<void> {
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #fetch(): Promise<void> {
    this.#triedAt = performance.now();
    const askedAt = Date.now();
    try {
      const signing = await this.#client.getSigningKeys();
      this.#keys = signing.flatMap(({ kid, ...key }) => {
        try {
          return [publicKey(key.getPublicKey(), kid)];
        } catch (error) {
          this.#log.warn({ kid, reason: (error as Error).message }, "a key of the JWKS URL is not usable");
          return [];
        }
      });
      this.fetchedAt = askedAt;
      this.#failed = false;
    } catch (error) {
      this.#failed = true;
      this.#log.error(
        { reason: (error as Error).message },
        "the JWKS URL could not be fetched (TIDEGATE_JWKS_URL)",
      );
    }
  }
}

/** Bounded in time and size; a redirect is an error, since it could point anywhere. */
async function fetchKeySet(url: string): Promise<{ keys: unknown }> {
  const response = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new Error(`the key set is over ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString("utf8")) as { keys: unknown };
}
