import { hasTool } from "../harness/machine.ts";
import { readCounter, type Server } from "../harness/servers.ts";
import { WriteCalls } from "../harness/strace.ts";
import { type Bench, compare, fanout, type Measure, type Row } from "./row.ts";

// Small enough that a traced server, many times slower, still works off each burst before the next.
const SOCKETS = 100;
const BURST = 5;
const EVENTS_PER_SECOND = 50;
const AT_MOST = 1.02;

interface Writes {
  /** Per socket and burst; null when it could not be counted. */
  traced: number | null;
  counted: number | null;
}

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
    const measure = (name: string, of: (result: Writes) => number | null): Measure => ({
      name,
      unit: "",
      control: control.map(of).filter((value) => value !== null),
      subject: subject.map(of).filter((value) => value !== null),
      bar: { of: "value", atMost: AT_MOST },
    });
    return [
      measure("write calls per socket and tick", (result) => result.traced),
      measure("the same by tidegate_socket_writes_total", (result) => result.counted),
    ].filter(({ subject: values }) => values.length > 0);
  },
};

async function countWrites(bench: Bench, server: Server): Promise<Writes> {
  const attached: WriteCalls[] = [];
  let before: number | null = null;
  const { bursts } = await fanout(
    bench,
    server,
    { sockets: SOCKETS, channels: 1, eventsPerSecond: EVENTS_PER_SECOND, burst: BURST },
    async () => {
      before = await socketWrites(server);
      if (hasTool("strace")) attached.push(await WriteCalls.attach(server.child.pid));
    },
  );
  const calls = await attached[0]?.finish();
  if (typeof calls === "string") bench.note(`SKIPPED: ${calls}`);
  const after = await socketWrites(server);
  return {
    traced: typeof calls === "number" ? calls / (SOCKETS * bursts) : null,
    counted: before === null || after === null ? null : (after - before) / (SOCKETS * bursts),
  };
}

async function socketWrites({ adminUrl }: Server): Promise<number | null> {
  return adminUrl === null ? null : readCounter(adminUrl, "tidegate_socket_writes_total");
}
