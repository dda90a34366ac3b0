import type { EncodedEvent } from "../../hub/encoded-event.ts";
import { type CloseReason, CODES, shouldReconnect } from "../../protocol/codes.ts";
import type { LossReason, ServerFrame, StreamWelcome } from "../../protocol/frames.ts";
import { type Position, parseId } from "../../protocol/position.ts";
import type { Connection } from "../../session/connection.ts";
import type { Session } from "../../session/session.ts";
import type { ConnectionCounts } from "../counts.ts";
import { Drains } from "../drains.ts";
import type { Beating, Heartbeat } from "../heartbeat.ts";
import type { Queue } from "../queues.ts";
import type { HttpResponse } from "../uws.ts";
import {
  blockFor,
  type ChannelBlock,
  controlBlock,
  HEARTBEAT,
  idLine,
  lostBlock,
  retry,
  STOP,
} from "./blocks.ts";

/** How a stream tells its client where it is. */
export interface Track {
  /** The client is there before the first block. */
  begin(channel: string, position: Position | undefined): void;
  /** Of the beginning, until something is put; undefined: nothing that one could come back to. */
  readonly id: string | undefined;
  /** Bytes of a block in this stream. */
  lengthOf(block: ChannelBlock): number;
  /** Writes a block. From then on the client is where the block leads, so they are put in the order in which they leave. */
  put(block: ChannelBlock, into: Uint8Array, at: number): void;
  /** A block that needs nothing of this stream's own; undefined: `put` it. */
  ready(block: ChannelBlock): Uint8Array | undefined;
}

/** Where the events of a stream's channels come from. */
export interface Streams {
  add(connection: SseConnection): void;
  remove(connection: SseConnection): void;
  join(connection: SseConnection, channel: string): void;
  leave(connection: SseConnection, channel: string): void;
  /** Events of so many bytes were queued. This may cut connections, the one that sends among them. */
  handOnEvents(events: number, bytes: number): void;
  /** Calls `flush` when this turn of the event loop has brought all that it brings. */
  flushSoon(connection: SseConnection): void;
}

/** What all event streams of a node share. */
export interface SseContext {
  readonly streams: Streams;
  /** Those on it count as connections. */
  readonly heartbeat: Pick<Heartbeat<SseConnection>, "add" | "remove">;
  readonly counts: ConnectionCounts;
  /** 0: no limit. */
  readonly maxQueuedBytes: number;
  readonly node: string;
  readonly heartbeatMs: number;
}

/**
 * Bytes in one write. uWebSockets.js keeps what the kernel does not take, however much it is, so what waits for a slow
 * client waits here and is given to it piece by piece.
 */
const PIECE_BYTES = 32 * 1024;
/** Where pieces are put together: uWebSockets.js has copied one, or sent it, when the next begins. */
const scratch = Buffer.allocUnsafe(2 * PIECE_BYTES);
/** For a client that is told why its stream ends, to take what is queued. */
const LINGER_MS = 4_000;

let corked: { response: HttpResponse; piece: Uint8Array; isTaken: boolean };
const writeOne = (): void => {
  corked.isTaken = corked.response.write(corked.piece);
};

/** One function for all: a closure for each write would cost as much as what it does. @returns whether all was taken */
function writeCorked(response: HttpResponse, piece: Uint8Array): boolean {
  corked = { response, piece, isTaken: true };
  response.cork(writeOne);
  return corked.isTaken;
}

function closingBlock(reason: CloseReason): Buffer {
  const { close: code, temporary } = CODES[reason];
  const id = shouldReconnect(code) ? undefined : STOP;
  return controlBlock("closing", { type: "closing", code, reason, temporary }, idLine(id));
}

/**
 * An event stream over HTTP as a session's connection. It has its place on the node from the beginning, and a response
 * once its channels are subscribed, which is gone after `onClose`: never touched again.
 */
export class SseConnection implements Connection, Beating, Queue {
  readonly transport = "sse";
  readonly id: string;
  /** Set right after construction: a session needs its connection first. */
  session!: Session;
  /** A stream has no way back: whether somebody is there, the network alone can tell. */
  readonly awaitsPong = false;
  readonly #track: Track;
  readonly #context: SseContext;
  /** Its place on the heartbeat's wheel. */
  readonly #slot: number;
  #response: HttpResponse | undefined;
  /** What came before the stream was open. */
  #early: (() => void)[] | undefined = [];
  #earlyBytes = 0;
  /** Those of a channel are shared by all streams, and become bytes when their turn has come. */
  readonly #queue: (ChannelBlock | Uint8Array)[] = [];
  #queued = 0;
  /** What the last write has left with uWebSockets.js, at most; 0 while the client keeps up. */
  #stuck = 0;
  #isFlushing = false;
  #isOver = false;
  #reason: CloseReason | undefined;
  #linger: NodeJS.Timeout | undefined;
  #drains: Drains | undefined;

  constructor(id: string, track: Track, context: SseContext) {
    this.id = id;
    this.#track = track;
    this.#context = context;
    this.#slot = context.heartbeat.add(this);
  }

  /** The head is written. Goes on with `id`, so that also a client that gets nothing more can come back to here. */
  open(response: HttpResponse, retryMs: number): void {
    const over = this.#reason;
    if (over) {
      // Ended between its last subscription and this moment.
      response.cork(() => response.end(retry(retryMs) + closingBlock(over)));
      return this.onClose();
    }
    this.#response = response;
    this.#context.streams.add(this);
    this.#context.counts.opened++;
    response.onWritable(() => {
      this.#onWritable();
      return true;
    });
    const early = this.#early ?? [];
    this.#early = undefined;
    this.#earlyBytes = 0;
    this.#putBytes(Buffer.from(`${retry(retryMs)}${idLine(this.#track.id)}\n`));
    this.#putBytes(controlBlock("welcome", this.#welcome()));
    for (const put of early) put();
    this.#drains?.wake();
  }

  #welcome(): StreamWelcome {
    const { node, heartbeatMs: heartbeat } = this.#context;
    const { user, expiresIn } = this.session;
    return { type: "welcome", connection: this.id, node, user, expires_in: expiresIn, heartbeat };
  }

  /** It is over, however: by the client, the network or this node, before it was open or after. */
  onClose(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { heartbeat, streams, counts } = this.#context;
    heartbeat.remove(this, this.#slot);
    if (this.#response) {
      this.#response = undefined;
      streams.remove(this);
      counts.closed.add(this.#reason ?? "client"); // whether it went or was cut off, nobody can tell
    }
    clearTimeout(this.#linger);
    this.#queue.length = 0;
    this.#queued = 0;
    this.#stuck = 0;
    this.#drains?.wake();
    this.session.end();
  }

  /** Why it was ended before it was open. */
  get refusal(): CloseReason | undefined {
    return this.#reason;
  }

  join(channel: string): void {
    if (!this.#reason) this.#context.streams.join(this, channel);
  }

  leave(channel: string): void {
    this.#context.streams.leave(this, channel);
  }

  /** It is where its subscription begins. */
  begin(channel: string, position: Position | undefined): void {
    this.#track.begin(channel, position);
  }

  lost(channel: string, position: Position | undefined, reason: LossReason): void {
    this.deliver(lostBlock(channel, position, reason));
  }

  send(...frames: readonly ServerFrame[]): void {
    for (const frame of frames) this.#sendFrame(frame);
  }

  /** Of a session without commands these are all. */
  #sendFrame(frame: ServerFrame): void {
    if (this.#early) return void this.#early.push(() => this.#sendFrame(frame));
    if (frame.type === "subscribed" && frame.reason)
      this.lost(frame.channel, parseId(frame.id), frame.reason);
    else if (frame.type === "closing")
      this.#putBytes(controlBlock("closing", frame, retry(frame.reconnect_in)));
    else if (frame.type === "error") this.#putBytes(controlBlock("error", frame));
  }

  /** Only commands are answered so. */
  sendText(): void {}

  sendEvents(events: readonly EncodedEvent[]): void {
    let bytes = 0;
    let delivered = 0;
    for (const event of events) {
      const block = blockFor(event, this.id);
      if (block) bytes += this.deliver(block);
      if (event.except !== this.id) delivered++;
    }
    this.#context.streams.handOnEvents(delivered, bytes);
  }

  /** @returns its bytes */
  deliver(block: ChannelBlock): number {
    const length = this.#track.lengthOf(block);
    if (this.#early) this.#keep(block, length, this.#early);
    else this.#put(block, length);
    return length;
  }

  /** Some channels are there before others: what comes meanwhile comes behind the beginning. */
  #keep(block: ChannelBlock, length: number, early: (() => void)[]): void {
    const { maxQueuedBytes } = this.#context;
    early.push(() => void this.deliver(block));
    this.#earlyBytes += length;
    if (maxQueuedBytes > 0 && this.#earlyBytes > maxQueuedBytes) this.close("slow");
  }

  #put(block: ChannelBlock | Uint8Array, length: number): void {
    if (this.#reason || !this.#response) return;
    const { maxQueuedBytes } = this.#context;
    this.#queue.push(block);
    this.#queued += length;
    if (this.#stuck > 0 && maxQueuedBytes > 0 && this.#queued > maxQueuedBytes) return this.cut();
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    this.#context.streams.flushSoon(this);
  }

  #putBytes(bytes: Uint8Array): void {
    this.#put(bytes, bytes.length);
  }

  /** Writes what this turn has brought, each write in a cork of its own: several in one lose bytes under backpressure. */
  flush(): void {
    this.#isFlushing = false;
    while (this.#response && this.#queue.length > 0 && this.#stuck === 0) this.#writePiece(this.#response);
    if (this.#reason && this.#queue.length === 0 && this.#stuck === 0) this.#finish();
    else if (this.#stuck === 0) this.#drains?.wake();
  }

  #writePiece(response: HttpResponse): void {
    const piece = this.#takePiece();
    if (!writeCorked(response, piece)) this.#stuck = piece.length;
  }

  #takePiece(): Uint8Array {
    const [first] = this.#queue;
    if (this.#queue.length === 1 && first) {
      const ready = first instanceof Uint8Array ? first : this.#track.ready(first);
      if (ready) {
        this.#queue.length = 0;
        this.#queued -= ready.length;
        return ready;
      }
    }
    let length = 0;
    let count = 0;
    let piece: Uint8Array = scratch;
    for (const block of this.#queue) {
      const bytes = block instanceof Uint8Array ? block.length : this.#track.lengthOf(block);
      if (count > 0 && length + bytes > scratch.length) break;
      if (bytes > piece.length) piece = Buffer.allocUnsafe(bytes);
      if (block instanceof Uint8Array) piece.set(block, length);
      else this.#track.put(block, piece, length);
      length += bytes;
      count++;
      if (length >= PIECE_BYTES) break;
    }
    this.#queued -= length;
    if (count === this.#queue.length) this.#queue.length = 0;
    else this.#queue.splice(0, count);
    return piece.subarray(0, length);
  }

  #onWritable(): void {
    this.#stuck = 0;
    // What uWebSockets.js still holds leaves with the next write, and not before.
    if (this.#queue.length === 0) this.#putBytes(HEARTBEAT);
    this.flush();
    this.#drains?.wake();
  }

  /** Nothing is taken before it is open: a replay waits for that. */
  get queuedBytes(): number {
    return this.#early ? Number.POSITIVE_INFINITY : this.#queued + this.#stuck;
  }

  async drained(withinMs: number): Promise<boolean> {
    if (this.#isOver) return true;
    this.#drains ??= new Drains();
    return await this.#drains.next(withinMs);
  }

  ping(): void {
    if (this.#stuck === 0) this.#putBytes(HEARTBEAT);
  }

  onSilence(): void {}

  handOver(graceMs: number, reconnectInMs: number): void {
    this.session.handOver(graceMs, reconnectInMs);
  }

  /** Tells why, behind what is queued, and ends. */
  close(reason: CloseReason): void {
    if (this.#reason) return;
    if (this.#early) {
      this.#reason = reason;
      return this.session.end();
    }
    this.#putBytes(closingBlock(reason));
    if (this.#reason) return; // that was too much
    this.#reason = reason;
    this.session.end();
    this.#linger = setTimeout(() => this.#response?.close(), LINGER_MS);
  }

  /** Too much waits for it: it goes at once, with its queue, and comes back to where it was. */
  cut(): void {
    this.#reason = "slow";
    this.#response?.close();
  }

  #finish(): void {
    const response = this.#response;
    response?.cork(() => response.end());
    this.onClose();
  }
}
