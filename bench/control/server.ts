import { App, type WebSocket } from "uWebSockets.js";
import { Redis } from "ioredis";
import { ChannelSubscriptions } from "./channel-subscriptions.ts";

/**
 * The measure of all rows: uWebSockets.js behind ioredis, doing the same job in the simplest way its authors show.
 * No tokens, no sessions, no checks; what Redis hands over goes to the native `publish` as it is.
 */
interface Client {
  channels: string[];
  open: boolean;
}

const [port, redisPort] = process.argv.slice(2).map(Number) as [number, number];
const redis = new Redis({ port: redisPort, host: "127.0.0.1" });
const subscriptions = new ChannelSubscriptions(redis);
const app = App();

redis.on("messageBuffer", (channel: Buffer, payload: Buffer) => app.publish(channel, payload, false));

app.ws<Client>("/ws", {
  idleTimeout: 960, // no pings within a run, as on the node
  // The default of 64 KB drops events when a client lags for a moment, and a server that drops is not a measure.
  maxBackpressure: 16 * 1024 * 1024,
  upgrade: (response, request, context) => {
    const channels = new URLSearchParams(request.getQuery()).getAll("channel");
    response.upgrade<Client>(
      { channels, open: true },
      request.getHeader("sec-websocket-key"),
      "",
      request.getHeader("sec-websocket-extensions"),
      context,
    );
  },
  open: (ws) => {
    const { channels } = ws.getUserData();
    for (const channel of channels) subscribe(ws, channel);
  },
  message: (ws, message) => {
    const frame = JSON.parse(Buffer.from(message).toString()) as { channels: { channel: string }[] };
    for (const { channel } of frame.channels) {
      ws.getUserData().channels.push(channel);
      subscribe(ws, channel);
    }
  },
  close: (ws) => {
    const client = ws.getUserData();
    client.open = false;
    for (const channel of client.channels) subscriptions.remove(channel);
  },
});

function subscribe(ws: WebSocket<Client>, channel: string): void {
  const client = ws.getUserData();
  ws.subscribe(`tidegate:${channel}`);
  // The answer waits for Redis, so that a client that got it misses nothing.
  subscriptions.add(channel).then(
    () => {
      if (client.open) ws.send(`{"type":"subscribed","channel":"${channel}"}`, false);
    },
    (error: unknown) => {
      throw error;
    },
  );
}

app.listen("127.0.0.1", port, (socket) => {
  if (!socket) throw new Error(`port ${port} is taken`);
});
