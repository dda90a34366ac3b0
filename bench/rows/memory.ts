import { runLoad } from "../harness/load.ts";
import { compare, type Row } from "./row.ts";

const SOCKETS = 15_000;
const KB = 1024;

/** Resident memory, after the server has been left alone for a while: no forced collection, it is what users get. */
export const memory: Row = {
  name: "memory",
  what: "15,000 connections with one subscription each, then ten more each",
  async run(bench) {
    const { control, subject } = await compare(bench, (server) =>
      runLoad({
        task: "memory",
        target: server.target,
        sockets: SOCKETS,
        channels: 1_000,
        furtherChannels: 100,
        furtherPerSocket: 10,
        settleMs: bench.settleMs,
      }),
    );
    for (const [who, [first]] of [
      ["control", control],
      ["subject", subject],
    ] as const) {
      const sizes = [first?.emptyBytes, first?.connectedBytes, first?.subscribedBytes];
      const inMegabytes = sizes.map((bytes) => Math.round((bytes ?? 0) / KB / KB));
      bench.note(`${who}: empty, connected, subscribed: ${inMegabytes.join(", ")} MB resident`);
    }
    const perConnection = (r: (typeof control)[number]): number =>
      (r.connectedBytes - r.emptyBytes) / r.connections / KB;
    const perSubscription = (r: (typeof control)[number]): number =>
      (r.subscribedBytes - r.connectedBytes) / r.furtherSubscriptions;
    return [
      {
        name: "resident per connection",
        unit: "KB",
        control: control.map(perConnection),
        subject: subject.map(perConnection),
        bar: { of: "value", atMost: 7 },
      },
      {
        name: "resident per further subscription",
        unit: "B",
        control: control.map(perSubscription),
        subject: subject.map(perSubscription),
        bar: { of: "value", atMost: 300 },
      },
    ];
  },
};
