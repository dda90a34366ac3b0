import { noteConditions } from "./conditions.ts";
import { compare, fanout, type Row } from "./row.ts";

/** Latency where the core is full: CPU per delivery is just 1/rate there, so only time can compare. */
const latencyAt = (eventsPerSecond: number): Row => ({
  name: `latency-${eventsPerSecond}`,
  what: `1,000 sockets on one channel, ${eventsPerSecond} events/s of 200 bytes`,
  async run(bench) {
    const plan = { sockets: 1_000, channels: 1, eventsPerSecond };
    const { control, subject } = await compare(bench, (server) => fanout(bench, server, plan));
    noteConditions(bench, control, subject);
    const named = (label: string): string => `${label} latency, ${eventsPerSecond} events/s`;
    return [
      {
        name: named("p99"),
        unit: "ms",
        control: control.map((result) => result.p99Ms),
        subject: subject.map((result) => result.p99Ms),
        bar: { of: "ratio", atMost: 1.5 },
      },
      {
        name: named("p50"),
        unit: "ms",
        control: control.map((result) => result.p50Ms),
        subject: subject.map((result) => result.p50Ms),
        bar: "shown",
      },
    ];
  },
});

export const latencyRows: Row[] = [latencyAt(1_000), latencyAt(2_000)];
