import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type EncodedEvent, encode } from "../src/hub/encoded-event.ts";
import type { Feed, Page } from "../src/hub/feed.ts";
import { Hub } from "../src/hub/hub.ts";
import { RequestError } from "../src/protocol/codes.ts";
import type { Start } from "../src/protocol/commands.ts";
import { type LossReason, lostFrame, type ServerFrame } from "../src/protocol/frames.ts";
import { formatId, type Position, parseId } from "../src/protocol/position.ts";
import type { Connection } from "../src/session/connection.ts";
import { Subscriptions } from "../src/session/subscriptions.ts";

/*
 * One channel, one node, and a Redis that does what Redis can do, in every order: events are under way while the history
 * is read, connections break, the log is trimmed, goes back in time, is lost. Whatever happens, what a client is given
 * goes on where the last left off, or the client is told; and when all is quiet again it has arrived at the newest event.
 */

const CHANNEL = "chat";
const KEEPS = { size: 6, timeMs: 3_600_000 };

/** Redis, and the wire from it. */
class World {
  log: EncodedEvent[] = [];
  head: Position = { epoch: "e1", check: "start", offset: 0 };
  readonly wire: EncodedEvent[] = [];
  connected = true;
  readonly #questions: { ask(): void; fail(): void }[] = [];
  readonly #answers: (() => void)[] = [];
  #checks = 0;
  #epochs = 1;

  publish(): void {
    const position = {
      ...this.head,
      check: `c${++this.#checks}`,
      offset: this.head.offset + 1,
    };
    const head = {
      type: "message",
      channel: CHANNEL,
      id: formatId(position),
      timestamp: "2026-03-08T14:30:00Z",
    };
    const event = encode(head, "1", undefined, { position, previous: this.head.check });
    this.head = position;
    this.log.push(event);
    if (this.log.length > KEEPS.size) this.log.shift();
    if (this.connected) this.wire.push(event);
  }

  trim(count: number): void {
    this.log.splice(0, count);
  }

  /** A replica that had not heard of the last ones becomes the master. */
  goBack(count: number): void {
    const lost = this.log.splice(Math.max(0, this.log.length - count));
    const first = lost[0];
    if (first?.position)
      this.head = { ...first.position, offset: first.position.offset - 1, check: first.previous };
  }

  /** Somebody has heard of an event that is lost. */
  leaveOut(): Position {
    this.head = { ...this.head, check: `c${++this.#checks}`, offset: this.head.offset + 1 };
    return this.head;
  }

  loseAll(): void {
    this.log = [];
    this.head = { epoch: `e${++this.#epochs}`, check: "start", offset: 0 };
  }

  /** As a node asks it. */
  get feed(): Feed {
    return {
      subscribe: async () => {},
      unsubscribe: () => {},
      keeps: () => KEEPS,
      head: () => this.#question(() => this.head),
      fork: () => this.#question(() => this.leaveOut()),
      readAfter: (_channel, offset, limit) =>
        this.#question(() =>
          this.#page(
            this.log.filter(({ position }) => (position?.offset ?? 0) > offset),
            limit,
          ),
        ),
      readBefore: (_channel, offset, limit) =>
        this.#question(() =>
          this.#page(this.log.filter(({ position }) => (position?.offset ?? 0) < offset).reverse(), limit),
        ),
    };
  }

  #page(events: EncodedEvent[], limit: number): Page {
    return { head: this.head, events: events.slice(0, Math.min(limit, 3)) };
  }

  /** Redis looks at its data at one time, and the answer arrives at another. */
  #question<T>(look: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#questions.push({
        ask: () => {
          const found = look();
          this.#answers.push(() => resolve(found));
        },
        fail: () => reject(new RequestError("backplane_unavailable")),
      });
    });
  }

  look(): void {
    this.#questions.shift()?.ask();
  }

  fail(): void {
    this.#questions.shift()?.fail();
  }

  answer(): void {
    this.#answers.shift()?.();
  }

  get isAsked(): boolean {
    return this.#questions.length > 0 || this.#answers.length > 0;
  }
}

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
  #read = 0;

  constructor(hub: Hub, start: Start | undefined) {
    this.#since = start && "since" in start ? start.since : undefined;
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
    const at = this.#at as Position;
    expect(position).toMatchObject({ epoch: at.epoch, offset: at.offset + 1 });
    expect(previous).toBe(at.check);
    this.#at = position;
  }

  #told(frame: ServerFrame): void {
    if (frame.type !== "subscribed") return;
    const id = parseId(frame.id);
    // After `last` it begins some events before the position that it is told.
    const missed = id && !this.#since && frame.resumed ? this.wire.heard[this.#read + 1] : undefined;
    if (frame.resumed && this.#since) this.#at = this.#since;
    else if (missed && "event" in missed && frame.missed) {
      const { position, previous } = missed.event;
      this.#at = { ...(position as Position), offset: (position?.offset ?? 0) - 1, check: previous };
      expect(this.#at.offset).toBe((id?.offset ?? 0) - frame.missed);
    } else this.#at = id;
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
  const hub = new Hub(world.feed, [edge], recentBytes, counts);
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
  { weight: 1, arbitrary: fc.record({ do: fc.constant("trim" as const), count: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("goBack" as const), count: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.constant({ do: "loseAll" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "stall" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "drain" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "subscribe" as const }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("resume" as const), of: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("last" as const), count: fc.integer({ min: 1, max: 8 }) }),
  },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function settle(): Promise<void> {
  for (let i = 0; i < 30; i++) await Promise.resolve();
}

async function run(steps: readonly Step[], recentBytes: number): Promise<void> {
  const world = new World();
  const { hub, clients } = nodeOf(world, recentBytes);
  const published: Position[] = [world.head];
  const act: Record<Step["do"], (of: Step) => void> = {
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
    loseOne: () => void world.wire.shift(),
    mend: () => {
      world.connected = true;
      hub.interrupted();
    },
    trim: (of) => world.trim((of as { count: number }).count),
    goBack: (of) => world.goBack((of as { count: number }).count),
    loseAll: () => world.loseAll(),
    stall: () => {
      for (const { wire } of clients) wire.stall();
    },
    drain: () => {
      for (const { wire } of clients) wire.drain();
    },
    subscribe: () => void clients.push(new Client(hub, undefined)),
    resume: (of) => {
      const since = published[(of as { of: number }).of % published.length] as Position;
      clients.push(new Client(hub, { since }));
    },
    last: (of) => void clients.push(new Client(hub, { last: (of as { count: number }).count })),
  };
  for (const one of steps) {
    act[one.do](one);
    await settle();
    for (const client of clients) client.check();
  }
  // All is well again.
  act.mend({ do: "mend" });
  for (let i = 0; i < 60; i++) {
    act.drain({ do: "drain" });
    while (world.wire.length > 0) act.deliver({ do: "deliver" });
    for (let asked = 0; world.isAsked; asked++) {
      expect(asked, "questions that lead nowhere").toBeLessThan(500);
      world.look();
      world.answer();
      await settle();
    }
    if (i === 20) hub.interrupted();
    await vi.advanceTimersByTimeAsync(100);
  }
  for (const client of clients) {
    client.check();
    if (client.isSubscribed) expect(client.at).toEqual(world.head);
  }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "performance"] });
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
