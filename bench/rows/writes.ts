import { hasTool } from "../harness/machine.ts";
import type { Server } from "../harness/servers.ts";
import { WriteCalls } from "../harness/strace.ts";
import { type Bench, compare, fanout, type Row } from "./row.ts";

// Small enough that a traced server, many times slower, still works off each burst before the next.
const SOCKETS = 100;
const BURST = 5;
const EVENTS_PER_SECOND = 50;
const AT_MOST = 1.02;

/**
 * Write calls per socket and tick. Each burst reaches the server in one read, so it is one tick with five events:
 * a server that coalesces makes one call a socket, one that does not makes five.
 */
export const writes: Row = {
  name: "writes",
  what: `${SOCKETS} sockets, bursts of ${BURST} events: write calls per socket and burst`,
  async run(bench) {
    if (!hasTool("strace")) bench.note("SKIPPED: strace is missing (apt-get install strace)");
    const { control, subject } = await compare(bench, (server) => countWrites(bench, server));
    const counted = (values: readonly (number | null)[]) => values.filter((value) => value !== null);
    return [
      {
        name: "write calls per socket and tick",
        unit: "",
        control: counted(control),
        subject: counted(subject),
        bar: { of: "value" as const, atMost: AT_MOST },
      },
    ].filter(({ subject: values }) => values.length > 0);
  },
};

/** Null when they could not be counted. */
async function countWrites(bench: Bench, server: Server): Promise<number | null> {
  const attached: WriteCalls[] = [];
  const { bursts } = await fanout(
    bench,
    server,
    { sockets: SOCKETS, channels: 1, eventsPerSecond: EVENTS_PER_SECOND, burst: BURST },
    async () => {
      if (hasTool("strace")) attached.push(await WriteCalls.attach(server.child.pid));
    },
  );
  const calls = await attached[0]?.finish();
  if (typeof calls === "string") bench.note(`SKIPPED: ${calls}`);
  return typeof calls === "number" ? calls / (SOCKETS * bursts) : null;
}
