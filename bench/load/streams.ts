import { setTimeout as sleep } from "node:timers/promises";
import { channelName } from "./events.ts";
import type { StreamsJob } from "./job.ts";
import { Listener, type ListenerEvents } from "./listener.ts";
import { Publisher } from "./publisher.ts";
import type { StreamsResult } from "./result.ts";
import { tokenSigner } from "./token.ts";
import { upgradeRequest } from "./upgrade-request.ts";
import { Window } from "./window.ts";

const OPENING_AT_ONCE = 100;
const SETTLE_MS = 2_000;
const PATIENCE_MS = 10_000;

/** Publishes at a fixed rate to clients of one transport, each of which listens to all channels. */
export async function runStreams(job: StreamsJob, ready: () => Promise<void>): Promise<StreamsResult> {
  const counts = { open: 0, received: 0, disordered: 0, closed: 0 };
  let complaint: string | null = null;
  const events: ListenerEvents = {
    onHead: (_listener, head) => {
      counts.open++;
      if (!/^HTTP\/1.1 (101|200)/.test(head)) complaint ??= head;
    },
    onNumber: (listener, number, nowMs) => {
      if (number <= listener.newest) counts.disordered++;
      listener.newest = number;
      counts.received++;
      publisher.publishDue(nowMs);
    },
    onEnd: (_listener, reason) => {
      counts.closed++;
      complaint ??= reason;
    },
  };
  const first = Math.ceil((job.warmupMs * job.eventsPerSecond) / 1000);
  const total = first + Math.ceil((job.windowMs * job.eventsPerSecond) / 1000);
  const window = new Window(job.target, () => counts.received);
  const publisher: Publisher = new Publisher({ ...job, burst: 1, withHistory: () => true }, total, (sent) => {
    if (sent === first) window.open();
    if (sent === total) window.close();
  });

  const sign = tokenSigner(job.target.secret ?? "");
  const channels = Array.from({ length: job.channels }, (_, i) => channelName(i));
  const listeners: Listener[] = [];
  for (let index = 0; index < job.sockets; index++) {
    const token = sign(index);
    const request =
      job.transport === "sse" ? streamRequest(channels, token) : upgradeRequest(channels, token);
    listeners.push(new Listener(job.target.port, request, events));
    if (index % OPENING_AT_ONCE === OPENING_AT_ONCE - 1) await until(() => counts.open > index);
  }
  await until(() => counts.open === job.sockets);
  await sleep(SETTLE_MS); // a WebSocket is open before it is subscribed
  await ready();
  await publisher.run();
  const expected = total * job.sockets;
  await until(() => counts.received >= expected);
  const { done: deliveries, ...usage } = window.usage;
  publisher.close();
  for (const listener of listeners) listener.drop();
  return { ...usage, deliveries, expected, ...counts, lagP99Ms: publisher.lag.percentile(0.99) };

  async function until(condition: () => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!condition()) {
      if (complaint !== null) throw new Error(`connection failed: ${complaint}`);
      if (performance.now() > deadline) return; // the counts tell
      await sleep(5);
    }
  }
}

function streamRequest(channels: readonly string[], token: string): Buffer {
  const path =
    channels.length === 1
      ? `/v1/channels/${channels[0]}/events`
      : `/v1/events?${channels.map((channel) => `channel=${channel}`).join("&")}`;
  const lines = ["Host: 127.0.0.1", "Accept: text/event-stream", `Authorization: Bearer ${token}`];
  return Buffer.from([`GET ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n"));
}
