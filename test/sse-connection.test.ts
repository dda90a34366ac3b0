import { expect, it } from "vitest";
import { encode } from "../src/hub/encoded-event.ts";
import type { Session } from "../src/session/session.ts";
import { eventBlock } from "../src/transport/sse/blocks.ts";
import { SseConnection } from "../src/transport/sse/connection.ts";
import { CursorTrack } from "../src/transport/sse/tracks.ts";
import type { HttpResponse } from "../src/transport/uws.ts";
import { blocksIn } from "./support/event-stream.ts";

const CHANNELS = ["a", "b"];
const at = (offset: number) => ({ epoch: "e", check: `c${offset}`, offset });

function event(channel: string, offset: number) {
  const head = { type: "message", channel, id: `e-c${offset}:${offset}`, timestamp: "2026-03-08T14:30:00Z" };
  return encode(head, String(offset), undefined, { position: at(offset), previous: `c${offset - 1}` });
}

/** A response that takes what it is given, as long as `takes` says so. */
function opened(maxQueuedBytes = 0) {
  const written: string[] = [];
  const wire = { takes: true, ended: false, closed: false, onWritable: () => {} };
  const flushes: (() => void)[] = [];
  const counts = { opened: 0, closed: { add: () => {} } };
  const streams = {
    add: () => {},
    remove: () => {},
    join: () => {},
    leave: () => {},
    handOnEvents: () => {},
    flushSoon: (connection: SseConnection) => void flushes.push(() => connection.flush()),
  };
  const heartbeat = { add: () => 0, remove: () => {} };
  const connection = new SseConnection("1", new CursorTrack(CHANNELS), {
    streams,
    heartbeat,
    counts,
    maxQueuedBytes,
    node: "node1",
    heartbeatMs: 30_000,
  });
  connection.session = { end: () => {}, user: "ann", expiresIn: 1_000 } as unknown as Session;
  const response = {
    onWritable: (handler: () => boolean) => {
      wire.onWritable = handler;
    },
    cork: (work: () => void) => work(),
    write: (piece: Uint8Array) => {
      written.push(Buffer.from(piece).toString());
      return wire.takes;
    },
    end: (last?: string) => {
      if (last) written.push(last);
      wire.ended = true;
    },
    close: () => {
      wire.closed = true;
      connection.onClose();
    },
  };
  return {
    connection,
    wire,
    written,
    open: () => connection.open(response as unknown as HttpResponse, 1_000),
    flush: () => {
      for (const flush of flushes.splice(0)) flush();
    },
    /** Of all that was written: data and id of each block. */
    blocks: () =>
      blocksIn(written.join("")).map(({ data, id }) => [data && (JSON.parse(data) as object), id]),
  };
}

it("keeps what comes before it is open, and begins with where its channels began", () => {
  const { connection, open, flush, blocks } = opened();
  const cursor = new CursorTrack(CHANNELS);
  connection.begin("a", at(1));
  cursor.begin("a", at(1));
  connection.deliver(eventBlock(event("a", 2)));
  connection.begin("b", at(7));
  cursor.begin("b", at(7));
  const beginning = cursor.id;
  connection.deliver(eventBlock(event("b", 8)));
  connection.lost("a", at(5), "trimmed");
  open();
  flush();
  cursor.begin("a", at(2));
  const afterA = cursor.id;
  cursor.begin("b", at(8));
  const afterB = cursor.id;
  cursor.begin("a", at(5));
  expect(blocks()).toEqual([
    [undefined, beginning],
    [
      { type: "welcome", connection: "1", node: "node1", user: "ann", expires_in: 1_000, heartbeat: 30_000 },
      undefined,
    ],
    [expect.objectContaining({ channel: "a", data: 2 }), afterA],
    [expect.objectContaining({ channel: "b", data: 8 }), afterB],
    [{ channel: "a", id: "e-c5:5", reason: "trimmed" }, cursor.id],
  ]);
});

it("writes a turn's events in one piece, and waits for room with the rest", async () => {
  const { connection, wire, written, open, flush } = opened();
  expect(connection.queuedBytes).toBe(Number.POSITIVE_INFINITY);
  open();
  flush();
  written.length = 0;
  for (const offset of [1, 2, 3]) connection.deliver(eventBlock(event("a", offset)));
  flush();
  expect(written).toHaveLength(1);
  wire.takes = false;
  connection.deliver(eventBlock(event("a", 4)));
  flush();
  connection.deliver(eventBlock(event("a", 5)));
  flush();
  expect(written).toHaveLength(2);
  expect(connection.queuedBytes).toBeGreaterThan(0);
  const drained = connection.drained(60_000);
  wire.takes = true;
  wire.onWritable();
  expect(await drained).toBe(true);
  expect(written).toHaveLength(3);
  expect(connection.queuedBytes).toBe(0);
});

it("is cut when more waits than may, and answers at once who waits for it then", async () => {
  const { connection, wire, open, flush } = opened(1_000);
  open();
  wire.takes = false;
  flush();
  for (let offset = 1; offset <= 10; offset++) connection.deliver(eventBlock(event("a", offset)));
  expect(wire.closed).toBe(true);
  expect(await connection.drained(60_000)).toBe(true);
});

it("that was ended before it was open says why, and is not open", () => {
  const { connection, wire, written, open } = opened();
  connection.close("token_revoked");
  open();
  expect(wire.ended).toBe(true);
  expect(blocksIn(written.join("")).map(({ event, retry }) => [event, retry])).toEqual([["$closing", 1_000]]);
});

it("says why it ends, behind what is queued", () => {
  const { connection, wire, written, open, flush } = opened();
  open();
  connection.deliver(eventBlock(event("a", 1)));
  connection.close("token_expired");
  flush();
  expect(wire.ended).toBe(true);
  expect(blocksIn(written.join("")).map(({ event }) => event)).toEqual([
    undefined,
    "$welcome",
    "message",
    "$closing",
  ]);
});
