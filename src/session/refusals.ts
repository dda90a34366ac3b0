import type { Logger } from "pino";
import { CODES, type RequestError } from "../protocol/codes.ts";
import { Rate } from "./rate.ts";

/** Lines a second; five seconds' worth may come at once. Somebody who tries keys must not fill the disk. */
const LINES_PER_SECOND = 20;

/** The log lines of what was refused: the code and the rule that was broken; never a token. */
export class Refusals {
  readonly #log: Logger;
  readonly #rate = new Rate(LINES_PER_SECOND, LINES_PER_SECOND * 5);
  /** Since the last line. The metrics count all. */
  #unlogged = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @param level default: `info` when somebody was not known or not allowed, which is what operators look for */
  log(error: RequestError, about: Readonly<Record<string, unknown>>, level = levelOf(error)): void {
    if (!this.#log.isLevelEnabled(level)) return;
    if (!this.#rate.take()) {
      this.#unlogged++;
      return;
    }
    const { code, channel, reason, hint } = error;
    const skipped = this.#unlogged === 0 ? {} : { unlogged: this.#unlogged };
    this.#unlogged = 0;
    this.#log[level](
      { ...about, code, ...(channel === undefined ? {} : { channel }), reason, hint, ...skipped },
      "refused",
    );
  }
}

function levelOf({ code }: RequestError): "info" | "debug" {
  const row = CODES[code];
  return "status" in row && (row.status === 401 || row.status === 403) ? "info" : "debug";
}
