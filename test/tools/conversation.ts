import { parseRules } from "../../src/auth/grants.ts";
import type { Identity } from "../../src/auth/identity.ts";
import { secretKey } from "../../src/auth/keys.ts";
import { type Revocation, Revocations } from "../../src/auth/revocations.ts";
import { verifyToken } from "../../src/auth/token.ts";
import type { Edge } from "../../src/hub/edge.ts";
import type { EncodedEvent } from "../../src/hub/encoded-event.ts";
import { Hub } from "../../src/hub/hub.ts";
import type { CloseReason } from "../../src/protocol/codes.ts";
import { type LossReason, lostFrame } from "../../src/protocol/frames.ts";
import type { Position } from "../../src/protocol/position.ts";
import type { Publication, Published } from "../../src/protocol/publication.ts";
import type { Connection } from "../../src/session/connection.ts";
import { Conversation, type ConversationContext } from "../../src/session/conversation.ts";
import { Deadlines } from "../../src/session/deadlines.ts";
import { History } from "../../src/session/history.ts";
import { type Outlet, Publisher } from "../../src/session/publisher.ts";
import { Refusals } from "../../src/session/refusals.ts";

import { Sessions } from "../../src/session/sessions.ts";
import { Users } from "../../src/session/users.ts";
import { FakeFeed, NOBODY_COUNTS } from "./feed.ts";
import { claims, SECRET, tokenWith } from "./forge.ts";
import { memoryLog } from "./log.ts";
import { nextTick } from "./turns.ts";

export type Frame = Record<string, unknown>;

/** A client's wire that remembers everything that was put on it, as the client would read it. */
export class FakeConnection implements Connection {
  readonly transport = "websocket";
  readonly id: string;
  conversation!: Conversation;
  readonly wire: Frame[] = [];
  readonly channels = new Set<string>();
  /** What was put on it when it was gone already. */
  readonly late: Frame[] = [];
  closed: CloseReason | undefined;
  /** Closes of what was gone already. */
  readonly lateCloses: CloseReason[] = [];
  ended = false;
  /** What it was sent and has not taken: a test says so. */
  queuedBytes = 0;
  #wakeDrained = () => {};

  constructor(id: string) {
    this.id = id;
  }

  join(channel: string): void {
    this.channels.add(channel);
  }

  leave(channel: string): void {
    this.channels.delete(channel);
  }

  deliver({ text }: EncodedEvent): void {
    this.sendText(Buffer.from(text).toString());
  }

  sendText(text: string): void {
    this.#put(JSON.parse(text) as Frame);
  }

  sendEvents(events: readonly EncodedEvent[]): void {
    for (const event of events) if (event.except !== this.id) this.deliver(event);
  }

  /** As long as the test says; its client never takes nothing for too long. */
  drained(): Promise<boolean> {
    return new Promise((resolve) => {
      this.#wakeDrained = () => resolve(true);
    });
  }

  /** It has taken what it was sent. */
  drain(): void {
    this.queuedBytes = 0;
    this.#wakeDrained();
  }

  send(...frames: readonly object[]): void {
    for (const frame of frames) this.#put(JSON.parse(JSON.stringify(frame)) as Frame);
  }

  close(reason: CloseReason): void {
    if (this.ended) return void this.lateCloses.push(reason);
    this.closed = reason;
    this.hangUp();
  }

  /** The client, or the network, ends it. */
  hangUp(): void {
    this.ended = true;
    this.conversation.end();
  }

  #put(frame: Frame): void {
    (this.ended ? this.late : this.wire).push(frame);
  }
}

/** A session with its client on one side and a real hub over a fake feed on the other. */
export class Talker {
  readonly connection: FakeConnection;
  readonly #node: Node;
  #read = 0;

  constructor(node: Node, connection: FakeConnection) {
    this.#node = node;
    this.connection = connection;
  }

  /** Sends frames without waiting in between; a string goes out as it is. */
  send(...frames: (string | object)[]): void {
    for (const frame of frames) {
      this.connection.conversation.receive(typeof frame === "string" ? frame : JSON.stringify(frame));
    }
  }

  /** What has come since it was last asked, when all has settled. */
  async frames(): Promise<Frame[]> {
    await nextTick();
    const news = this.connection.wire.slice(this.#read);
    this.#read = this.connection.wire.length;
    return news;
  }

  /** Sends, and returns what comes of it. */
  async ask(...frames: (string | object)[]): Promise<Frame[]> {
    await this.frames();
    this.send(...frames);
    return await this.frames();
  }

  /** Sends `auth` with a token of these claims. */
  async authenticated(claims: Record<string, unknown>): Promise<this> {
    await this.ask({ type: "auth", token: tokenWith(claims) });
    return this;
  }

  get node(): Node {
    return this.#node;
  }
}

export type ContextOptions = Partial<
  Pick<
    ConversationContext,
    | "maxChannels"
    | "commandRate"
    | "authTimeoutMs"
    | "hints"
    | "rules"
    | "verify"
    | "maxFrameBytes"
    | "jsonLimits"
  > & { maxConnectionsPerUser: number }
>;

/** The parts that the sessions of one node share. */
export class Node implements Outlet, Edge {
  readonly feed: FakeFeed;
  readonly hub: Hub;
  readonly deadlines = new Deadlines();
  readonly lines: string[];
  readonly commands: string[] = [];
  readonly errors: string[] = [];
  readonly publications: string[] = [];
  /** What clients that came back were told. */
  readonly resumes: string[] = [];
  /** Set: what publishing does instead of reaching the hub, and how many nodes it says heard it. */
  outlet: ((event: Publication) => Promise<number>) | undefined;
  /** What the hub counts. */
  readonly continuity = { holes: 0, historyReads: 0, continuityLost: { add: () => {} } };
  readonly sessions = new Sessions();
  readonly revocations = new Revocations();
  /** Of the whole fleet: user → connections elsewhere. */
  readonly elsewhere = new Map<string, number>();
  readonly users: Users;
  readonly #context: ConversationContext;
  readonly #connections: FakeConnection[] = [];

  constructor(options: ContextOptions = {}, feed = new FakeFeed()) {
    const { log, lines } = memoryLog();
    this.feed = feed;
    this.hub = new Hub(feed, [this], 1024 * 1024, this.continuity, NOBODY_COUNTS);
    this.lines = lines;
    this.users = new Users(options.maxConnectionsPerUser ?? 0, {
      countConnections: async (counts) =>
        counts.map(([user, count]) => count + (this.elsewhere.get(user) ?? 0)),
    });
    const rules = options.rules ?? parseRules({ "public:*": ["subscribe"] }, "it");
    const tokens = {
      keys: [secretKey(SECRET)],
      jwks: undefined,
      issuer: undefined,
      audience: undefined,
      revocations: () => this.revocations,
    };
    this.#context = {
      hub: this.hub,
      sessions: this.sessions,
      users: this.users,
      publisher: new Publisher(this, rules, (result) => void this.publications.push(result)),
      history: new History(feed, rules),
      deadlines: this.deadlines,
      log,
      refusals: new Refusals(log),
      counts: {
        command: (type) => void this.commands.push(type),
        resume: (result) => void this.resumes.push(result),
      },
      refused: (code) => void this.errors.push(code),
      verify: (token) => verifyToken(token, tokens),
      node: "node1",
      authTimeoutMs: 10_000,
      heartbeatMs: 30_000,
      maxFrameBytes: 65_536,
      jsonLimits: { depth: 32, keys: 4_000 },
      maxChannels: 100,
      commandRate: 0,
      reconnectMs: { min: 500, max: 7_500 },
      hints: false,
      ...options,
      rules,
    };
  }

  /** As if some node had been asked to. */
  revoke(revocation: Revocation): void {
    this.revocations.add(revocation, Date.now() + 3_600_000);
    this.sessions.obey(revocation);
  }

  /** As a backplane of one node: publishing is hearing. */
  async publish(publication: Publication): Promise<Published> {
    if (this.outlet) return { id: undefined, listeners: await this.outlet(publication), repeated: false };
    const { id, event } = this.feed.history.append(publication);
    if (event) this.hub.deliver(event);
    const heard = event !== undefined && this.feed.standing.has(publication.channel);
    return { id, listeners: heard ? 1 : 0, repeated: event === undefined };
  }

  broadcast(event: EncodedEvent): void {
    for (const connection of this.#connections) {
      if (connection.channels.has(event.channel) && connection.id !== event.except) connection.deliver(event);
    }
  }

  lost(channel: string, position: Position | undefined, reason: LossReason): void {
    for (const connection of this.#connections) {
      if (connection.channels.has(channel)) connection.send(lostFrame(channel, position, reason));
    }
  }

  /** A connection whose handshake brought a token with these grants. */
  as(user: string, channels: Record<string, string[]> = {}, asked: readonly string[] = []): Talker {
    const identity = this.#context.verify(token(user, channels)) as Identity;
    return this.#open(identity, asked);
  }

  /** A connection that has yet to authenticate. */
  anonymous(asked: readonly string[] = []): Talker {
    return this.#open(undefined, asked);
  }

  #open(identity: Identity | undefined, asked: readonly string[]): Talker {
    const connection = new FakeConnection(`c-${this.#connections.length + 1}`);
    this.#connections.push(connection);
    connection.conversation = new Conversation(
      this.#context,
      connection,
      identity,
      asked.map((channel) => ({ channel, start: undefined })),
    );
    connection.conversation.begin();
    return new Talker(this, connection);
  }
}

/** A token for a minute. */
export function token(user: string, channels: Record<string, string[]> = {}, seconds = 60): string {
  return tokenWith(claims({ sub: user, channels, exp: Math.floor(Date.now() / 1000) + seconds }));
}
