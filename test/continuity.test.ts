import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { EncodedEvent } from "../src/hub/encoded-event.ts";
import { Hub } from "../src/hub/hub.ts";
import { RequestError } from "../src/protocol/codes.ts";
import type { Start } from "../src/protocol/commands.ts";
import { cursorHead, encodeMark, type Mark, parseCursor } from "../src/protocol/cursor.ts";
import { type LossReason, lostFrame, type ServerFrame } from "../src/protocol/frames.ts";
import { formatId, type Position, parseId } from "../src/protocol/position.ts";
import type { Connection } from "../src/session/connection.ts";
import { Subscriptions } from "../src/session/subscriptions.ts";
import { NOBODY_COUNTS } from "./tools/feed.ts";
import { CHANNEL, World } from "./tools/world.ts";

/*
 * One channel, one node, and a Redis that does what Redis can do, in every order: events are under way while the history
 * is read, connections break, the log is trimmed, goes back in time, is lost. Whatever happens, what a client is given
 * goes on where the last left off, or the client is told; and when all is quiet again it has arrived at the newest event,
 * though no other follows it.
 */

type Heard = { readonly event: EncodedEvent } | { readonly frame: ServerFrame };

/** What one client is sent, on a connection that takes everything, or nothing for a while. */
class Wire implements Connection {
  readonly id = "c";
  readonly transport = "websocket";
  readonly heard: Heard[] = [];
  joined = false;
  queuedBytes = 0;
  #drained: (() => void)[] = [];

  join(): void {
    this.joined = true;
  }

  leave(): void {
    this.joined = false;
  }

  send(...frames: readonly ServerFrame[]): void {
    for (const frame of frames) this.heard.push({ frame });
  }

  sendText(): void {}

  sendEvents(events: readonly EncodedEvent[]): void {
    for (const event of events) this.heard.push({ event });
  }

  drained(): Promise<boolean> {
    return new Promise((resolve) => this.#drained.push(() => resolve(true)));
  }

  stall(): void {
    this.queuedBytes = 1_000_000;
  }

  drain(): void {
    this.queuedBytes = 0;
    for (const resolve of this.#drained.splice(0)) resolve();
  }

  close(): void {
    expect.unreachable("a client was closed");
  }
}

class Client {
  readonly wire = new Wire();
  readonly #subscriptions: Subscriptions;
  readonly #since: Position | undefined;
  /** What it has without a gap. */
  #at: Position | undefined;
  /** After `last`: the offset behind which its first event belongs. */
  #begins: number | undefined;
  #read = 0;

  /** @param since what `start` says, be it as a mark */
  constructor(hub: Hub, start?: Start, since?: Position) {
    this.#since = since;
    this.#subscriptions = new Subscriptions(hub, this.wire, 0);
    this.#subscriptions
      .add(
        CHANNEL,
        start,
        () => {},
        ({ position, missed, lost }) => {
          const resumed = start ? { resumed: lost === undefined, missed, reason: lost } : {};
          this.wire.send({
            type: "subscribed",
            channel: CHANNEL,
            ...(position && { id: formatId(position) }),
            ...(resumed as object),
          } as ServerFrame);
        },
      )
      .catch((error: unknown) => {
        if (!(error instanceof RequestError)) throw error;
      });
  }

  /** Reads on; every step must be the next one, or be told. */
  check(): void {
    for (; this.#read < this.wire.heard.length; this.#read++) {
      const heard = this.wire.heard[this.#read] as Heard;
      if ("event" in heard) this.#step(heard.event);
      else this.#told(heard.frame);
    }
  }

  #step({ position, previous }: EncodedEvent): void {
    if (this.#begins !== undefined && position)
      this.#at = { ...position, offset: this.#begins, check: previous };
    this.#begins = undefined;
    const at = this.#at as Position;
    expect(position).toMatchObject({ epoch: at.epoch, offset: at.offset + 1 });
    expect(previous).toBe(at.check);
    this.#at = position;
  }

  #told(frame: ServerFrame): void {
    if (frame.type !== "subscribed") return;
    this.#at = parseId(frame.id);
    this.#begins = undefined;
    if (!frame.resumed) return;
    if (this.#since) this.#at = this.#since;
    else if (this.#at && frame.missed) this.#begins = this.#at.offset - frame.missed;
  }

  leave(): void {
    this.#subscriptions.end();
  }

  get isSubscribed(): boolean {
    return this.wire.heard.length > 0;
  }

  get at(): Position | undefined {
    return this.#at;
  }
}

function nodeOf(world: World, recentBytes: number) {
  const clients: Client[] = [];
  const joined = () => clients.filter(({ wire }) => wire.joined);
  const edge = {
    broadcast: (event: EncodedEvent) => {
      for (const { wire } of joined()) wire.sendEvents([event]);
    },
    lost: (channel: string, position: Position | undefined, reason: LossReason) => {
      for (const { wire } of joined()) wire.send(lostFrame(channel, position, reason));
    },
  };
  const counts = { holes: 0, historyReads: 0, continuityLost: { add: () => {} } };
  const hub = new Hub(world.feed, [edge], recentBytes, counts, NOBODY_COUNTS);
  return { hub, clients };
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ do: "publish" as const }) },
  { weight: 6, arbitrary: fc.constant({ do: "deliver" as const }) },
  { weight: 5, arbitrary: fc.constant({ do: "look" as const }) },
  { weight: 5, arbitrary: fc.constant({ do: "answer" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "fail" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "break" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "loseOne" as const }) },
  { weight: 3, arbitrary: fc.constant({ do: "mend" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "check" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "pass" as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("trim" as const), count: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("goBack" as const), count: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.constant({ do: "loseAll" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "stall" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "drain" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "subscribe" as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), of: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("resume" as const), of: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("resumeByMark" as const), of: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("last" as const), count: fc.integer({ min: 1, max: 8 }) }),
  },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function settle(): Promise<void> {
  for (let i = 0; i < 30; i++) await Promise.resolve();
}

/** As a client has it that was given a cursor. */
function markOf(position: Position): Mark {
  const [mark] = parseCursor(cursorHead([CHANNEL]) + encodeMark(position), [CHANNEL]) ?? [];
  return mark as Mark;
}

/** Longer than a round of the node's channels, and all that it waits for. */
const QUIET_MS = 15_000;
const A_WHILE_MS = 250;

async function run(steps: readonly Step[], recentBytes: number): Promise<void> {
  vi.clearAllTimers();
  const world = new World();
  const { hub, clients } = nodeOf(world, recentBytes);
  hub.start();
  const published: Position[] = [world.head];
  const known = (of: Step) => published[(of as { of: number }).of % published.length] as Position;
  const act: Record<Step["do"], (of: Step) => unknown> = {
    publish: () => {
      world.publish();
      published.push(world.head);
    },
    deliver: () => {
      const event = world.wire.shift();
      if (event) hub.deliver(event);
    },
    look: () => world.look(),
    answer: () => world.answer(),
    fail: () => world.fail(),
    break: () => {
      world.connected = false;
      world.wire.length = 0;
    },
    // A subscriber connection that fell silent, was made anew by the server, whatever: nobody says so.
    loseOne: () => world.wire.shift(),
    mend: () => {
      world.connected = true;
      hub.interrupted();
    },
    check: () => hub.check(CHANNEL),
    // Rounds ask, and what is tried again is.
    pass: () => vi.advanceTimersByTimeAsync(1_000),
    trim: (of) => world.trim((of as { count: number }).count),
    goBack: (of) => world.goBack((of as { count: number }).count),
    loseAll: () => world.loseAll(),
    stall: () => {
      for (const { wire } of clients) wire.stall();
    },
    drain: () => {
      for (const { wire } of clients) wire.drain();
    },
    subscribe: () => clients.push(new Client(hub)),
    leave: (of) => {
      const [client] = clients.splice((of as { of: number }).of % (clients.length || 1), 1);
      client?.leave();
    },
    resume: (of) => {
      const since = known(of);
      clients.push(new Client(hub, { since }, since));
    },
    resumeByMark: (of) => {
      const since = known(of);
      clients.push(new Client(hub, { mark: markOf(since) }, since));
    },
    last: (of) => clients.push(new Client(hub, { last: (of as { count: number }).count })),
  };
  for (const one of steps) {
    await act[one.do](one);
    await settle();
    for (const client of clients) client.check();
  }
  // All is well again, and nobody publishes any more.
  if (!world.connected) act.mend({ do: "mend" });
  for (let ms = 0; ms < QUIET_MS; ms += A_WHILE_MS) {
    act.drain({ do: "drain" });
    while (world.wire.length > 0) act.deliver({ do: "deliver" });
    for (let asked = 0; world.isAsked; asked++) {
      expect(asked, "questions that lead nowhere").toBeLessThan(500);
      world.look();
      world.answer();
      await settle();
    }
    await vi.advanceTimersByTimeAsync(A_WHILE_MS);
  }
  hub.stop();
  for (const client of clients) {
    client.check();
    if (client.isSubscribed) expect(client.at).toEqual(world.head);
  }
}

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "setImmediate", "performance"],
  });
});

afterEach(() => {
  vi.useRealTimers();
});

const runs = { numRuns: Number(process.env.FUZZ_RUNS ?? 250) };

test.each([
  ["with events held for those who come back", 1_000_000],
  ["with room for few", 1_500],
  ["with none", 0],
])(
  "no client has a gap, a duplicate or another's event untold, %s",
  async (_name, recentBytes) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), (steps) => run(steps, recentBytes)),
      runs,
    );
  },
  120_000,
);
