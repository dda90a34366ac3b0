import { runLoad } from "../harness/load.ts";
import type { HandshakeResult } from "../load/result.ts";
import { noteUsage } from "./conditions.ts";
import { compare, type Row } from "./row.ts";

const CONCURRENCY = 64;

/** Connections opened, accepted and dropped without a pause; Tidegate checks a token that it has never seen each time. */
export const handshakes: Row = {
  name: "handshakes",
  what: "authenticated handshakes (HS256) on one core; the control asks for no token",
  async run(bench) {
    const { control, subject } = await compare(bench, async (server) => {
      const { warmupMs, windowMs } = bench;
      const result = await runLoad({
        task: "handshakes",
        target: server.target,
        concurrency: CONCURRENCY,
        warmupMs,
        windowMs,
      });
      if (result.failures > 0) throw new Error(`${result.failures} handshakes failed`);
      return result;
    });
    const rate = (r: HandshakeResult): number => r.handshakes / r.seconds;
    const cpu = (r: HandshakeResult): number => (r.userMicros + r.systemMicros) / r.handshakes;
    noteUsage(bench, control, subject);
    return [
      {
        name: "handshakes",
        unit: "1/s",
        control: control.map(rate),
        subject: subject.map(rate),
        bar: { of: "value", atLeast: 6_000 },
      },
      {
        name: "CPU per handshake",
        unit: "µs",
        control: control.map(cpu),
        subject: subject.map(cpu),
        bar: "shown",
      },
    ];
  },
};
