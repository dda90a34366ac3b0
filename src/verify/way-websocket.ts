import { Connection, type Frame } from "./connection.ts";
import type { ConnectionEnd } from "./ended.ts";
import { retryDelay } from "./retry.ts";
import { Timers } from "./timers.ts";
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

interface Attempt {
  resolve(acknowledgement: Acknowledgement): void;
  reject(error: NotPublished): void;
  readonly timer: NodeJS.Timeout;
}

/** One connection and the attempts that it has to answer. */
class Line {
  readonly connection: Connection;
  readonly attempts = new Map<number, Attempt>();
  isWelcome = false;

  constructor(options: {
    readonly url: string;
    readonly token: string;
    readonly fresh: boolean;
    onWelcome(): void;
    onClosing(inMs: number, fresh: boolean): void;
    onEnd(end: ConnectionEnd): void;
  }) {
    this.connection = new Connection({
      ...options,
      onFrame: (frame) => {
        if (frame.type === "welcome") {
          this.isWelcome = true;
          options.onWelcome();
        } else if (frame.type === "closing")
          options.onClosing(Number(frame.reconnect_in) || 0, frame.fresh === true);
        else this.#answer(frame);
      },
      onEnd: (end) => {
        this.abandon(new NotPublished(NO_CONNECTION, end.why, end.again));
        options.onEnd(end);
      },
    });
  }

  abandon(error: NotPublished): void {
    for (const { reject, timer } of this.attempts.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.attempts.clear();
  }

  #answer(frame: Frame): void {
    const attempt = this.attempts.get(Number(frame.ref));
    if (!attempt) return;
    this.attempts.delete(Number(frame.ref));
    clearTimeout(attempt.timer);
    try {
      if (frame.type === "published") attempt.resolve({ id: idIn(frame), line: this });
      else {
        const { code, message, temporary } = frame;
        attempt.reject(new NotPublished(String(code), `${code}: ${message}`, temporary === true));
      }
    } catch (error) {
      attempt.reject(error as NotPublished);
    }
  }
}

/** The `publish` frame, over a connection that comes back. */
export class WebSocketWay implements Way {
  readonly #url: string;
  readonly #token: () => string;
  readonly #maxRetryMs: number;
  #line: Line | undefined;
  /** What it moved from: open until the node closes it. */
  readonly #old = new Set<Line>();
  #refs = 0;
  #failed = 0;
  /** Why there is no connection, and whether there will be one. */
  #lack = { why: "not connected yet", again: true };
  readonly #timers = new Timers();
  #stopped = false;

  /** @param url `ws://…/ws` */
  constructor(url: string, token: () => string, maxRetryMs: number) {
    this.#url = url;
    this.#token = token;
    this.#maxRetryMs = maxRetryMs;
    this.#connect(false);
  }

  publish({ channel, data, key }: Outgoing): Promise<Acknowledgement> {
    const line = this.#line;
    return new Promise((resolve, reject) => {
      const ref = ++this.#refs;
      const event = { type: "publish", ref, channel, data: JSON.parse(data) as unknown, key };
      if (!line?.connection.send(event)) {
        reject(new NotPublished(NO_CONNECTION, this.#lack.why, this.#lack.again));
        return;
      }
      const timer = setTimeout(() => this.#giveUp(line), ANSWER_MS);
      line.attempts.set(ref, { resolve, reject, timer });
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#timers.stop();
    for (const line of [this.#line, ...this.#old]) {
      line?.connection.cut();
      line?.abandon(new NotPublished(NO_CONNECTION, "stopped", true));
    }
  }

  /** A connection that does not answer is dead, whatever it looks like. */
  #giveUp(line: Line): void {
    const why = `no answer in ${ANSWER_MS / 1000} s`;
    line.connection.cut();
    line.abandon(new NotPublished(NO_ANSWER, why, true));
    this.#ended(line, { again: true, why });
  }

  #connect(fresh: boolean): void {
    const line: Line = new Line({
      url: this.#url,
      token: this.#token(),
      fresh,
      onWelcome: () => {
        this.#failed = 0;
        if (this.#line) this.#old.add(this.#line);
        this.#line = line;
      },
      onClosing: (inMs, elsewhere) => {
        if (line === this.#line) this.#timers.later(inMs, () => this.#connect(elsewhere));
      },
      onEnd: (end) => this.#ended(line, end),
    });
  }

  #ended(line: Line, { why, again }: ConnectionEnd): void {
    if (this.#old.delete(line) || this.#stopped) return;
    if (line === this.#line) this.#line = undefined;
    // One that never was welcome is no loss while there is another.
    if (this.#line) return;
    this.#lack = { why, again };
    if (again) this.#timers.later(retryDelay(this.#failed++, this.#maxRetryMs), () => this.#connect(false));
  }
}
