import type { FanoutResult } from "../load/result.ts";
import { flagFullCore, flagLateGenerator, noteConditions } from "./conditions.ts";
import { compare, type FanoutPlan, fanout, type Measure, OFF_THE_TICK, type Row } from "./row.ts";

interface CpuRow {
  name: string;
  what: string;
  plan: FanoutPlan;
  totalAtMost: number;
  userAtMost?: number;
}

/** Server CPU per delivery at a rate that leaves the core room. */
function cpuRow({ name, what, plan, totalAtMost, userAtMost }: CpuRow): Row {
  return {
    name,
    what,
    async run(bench) {
      const { control, subject } = await compare(bench, (server) => fanout(bench, server, plan));
      noteConditions(bench, control, subject);
      flagFullCore(bench, [...control, ...subject]);
      flagLateGenerator(bench, [...control, ...subject]);
      const measure = (
        of: (result: FanoutResult) => number,
        label: string,
        bar: Measure["bar"],
      ): Measure => ({
        name: `${label} CPU per delivery, ${name}`,
        unit: "µs",
        control: control.map((result) => of(result) / result.deliveries),
        subject: subject.map((result) => of(result) / result.deliveries),
        bar,
      });
      return [
        measure((r) => r.userMicros + r.systemMicros, "total", { of: "ratio", atMost: totalAtMost }),
        measure((r) => r.userMicros, "user", userAtMost ? { of: "ratio", atMost: userAtMost } : "shown"),
        measure((r) => r.systemMicros, "system", "shown"),
      ];
    },
  };
}

const fanoutAt = (name: string, sockets: number, eventsPerSecond: number, userAtMost?: number): Row =>
  cpuRow({
    name,
    what: `${sockets} sockets on one channel, ${eventsPerSecond} events/s of 200 bytes`,
    plan: { sockets, channels: 1, eventsPerSecond: eventsPerSecond * OFF_THE_TICK },
    totalAtMost: 1.1,
    ...(userAtMost === undefined ? {} : { userAtMost }),
  });

export const cpuRows: Row[] = [
  fanoutAt("fanout-50", 1_000, 50, 1.3),
  fanoutAt("fanout-200", 1_000, 200, 1.3),
  // For machines whose core is full at 200,000 deliveries a second: the same rate to fewer. What a node does for each
  // event once, and what it does when idle, weighs three times as much here: no bar for user time.
  fanoutAt("fanout-200-small", 300, 200),
  cpuRow({
    name: "rooms",
    what: "1,000 rooms of 15 members, one event per second each",
    plan: { sockets: 15_000, channels: 1_000, eventsPerSecond: 1_000 },
    totalAtMost: 1.2,
  }),
  cpuRow({
    name: "channels",
    what: "one event to one of 10,000 channels, 2,000 events/s",
    plan: { sockets: 10_000, channels: 10_000, eventsPerSecond: 2_000 },
    totalAtMost: 1.3,
  }),
];
