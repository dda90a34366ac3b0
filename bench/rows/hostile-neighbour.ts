import { runLoad } from "../harness/load.ts";
import { readCounter } from "../harness/metrics.ts";
import type { AttackResult, HostileNeighbourResult, NeighbourResult } from "../load/hostile-job.ts";
import { flagForeign, flagLateGenerator } from "./conditions.ts";
import { type Bench, measuring, OFF_THE_TICK, type Row, repeat, startSubject, whatWasLost } from "./row.ts";

const SOCKETS = 100;
const EVENTS_PER_SECOND = 50 * OFF_THE_TICK;
const MOST = 2;
/** Past it the row would say how full the core is. */
const FULLEST = 0.7;
/** Of the attacker's handshakes; a node that has not come to them has not been attacked. */
const MOST_UNANSWERED = 0.02;
/** Turns of the neighbour, in the order ABBA: the attack begins with the second and is over before the last. */
const [BEGINS, ENDS] = [1, 3];
/** The node's own limits, as by default. */
const SETTINGS = {
  TIDEGATE_HANDSHAKE_RATE: "2000",
  TIDEGATE_MAX_CONNECTIONS: "15000",
  TIDEGATE_MAX_CONNECTIONS_PER_USER: "100",
  TIDEGATE_MAX_NODE_QUEUED_BYTES: "256MiB",
  TIDEGATE_HEARTBEAT: "30s",
  // What is logged of an attack is part of its cost.
  TIDEGATE_LOG_LEVEL: "info",
};

interface Trial {
  neighbour: HostileNeighbourResult;
  attack: AttackResult;
  refusedHandshakes: number;
  commandErrors: number;
}

/** Those who keep to the protocol, on a node that others attack with all that it must refuse. */
export const hostileNeighbour: Row = {
  name: "hostile-neighbour",
  what: `${SOCKETS} sockets at 50 events/s on a node that is attacked meanwhile, against the same node alone`,
  nodesOnly: true,
  async run(bench) {
    const results = await repeat(bench, () => trial(bench));
    for (const result of results) noteConditions(bench, result);
    const neighbours = results.map(({ neighbour }) => neighbour);
    flagLateGenerator(bench, neighbours);
    flagForeign(
      bench,
      Math.max(
        ...results.flatMap(({ neighbour: { alone, hostile }, attack }) => [
          alone.foreignBusy,
          hostile.foreignBusy - attack.busy,
        ]),
      ),
    );
    const fullest = Math.max(...neighbours.map(({ hostile }) => serverBusy(hostile)));
    if (fullest > FULLEST) bench.note(`FLAGGED: the server's core was ${percent(fullest)} full`);
    const unanswered = Math.max(...results.map(({ attack }) => attack.unanswered / attack.handshakes));
    if (unanswered > MOST_UNANSWERED)
      bench.note(
        `FLAGGED: ${percent(unanswered)} of the attacker's handshakes had no answer in half a second`,
      );
    const measure = measuring(neighbours);
    return [
      measure("p99 latency, attacked : alone", "", ({ hostile, alone }) => hostile.p99Ms / alone.p99Ms, {
        of: "value",
        atMost: MOST,
      }),
      measure("p99 latency, attacked", "ms", ({ hostile }) => hostile.p99Ms, "shown"),
      measure(
        "p50 latency, attacked : alone",
        "",
        ({ hostile, alone }) => hostile.p50Ms / alone.p50Ms,
        "shown",
      ),
      measure("server's core, attacked", "%", ({ hostile }) => 100 * serverBusy(hostile), "shown"),
    ];
  },
};

async function trial(bench: Bench): Promise<Trial> {
  const { warmupMs, windowMs } = bench;
  const { child, target, adminUrl } = await startSubject(bench, SETTINGS);
  const [prepared, begin, underWay, end] = [gate(), gate(), gate(), gate()];
  try {
    let asked = 0;
    const attack = runLoad({ task: "attack", target }, async () => {
      if (asked++ === 0) {
        prepared.open();
        await begin.opened;
      } else {
        underWay.open();
        await end.opened;
      }
    });
    await Promise.race([prepared.opened, attack]);
    let turn = 0;
    const neighbour = await runLoad(
      {
        task: "hostile-neighbour",
        target,
        sockets: SOCKETS,
        eventsPerSecond: EVENTS_PER_SECOND,
        warmupMs,
        windowMs,
      },
      async () => {
        if (turn === BEGINS) {
          begin.open();
          await Promise.race([underWay.opened, attack]);
        } else if (turn === ENDS) {
          end.open();
          await attack;
        }
        turn++;
      },
    );
    const lost = whatWasLost(neighbour);
    if (lost !== null) throw new Error(`${lost} beside an attack`);
    return {
      neighbour,
      attack: await attack,
      refusedHandshakes: await readCounter(adminUrl, "tidegate_handshakes_refused_total"),
      commandErrors: await readCounter(adminUrl, "tidegate_command_errors_total"),
    };
  } finally {
    await child.stop();
  }
}

function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

const serverBusy = ({ userMicros, systemMicros, seconds }: NeighbourResult): number =>
  (userMicros + systemMicros) / seconds / 1e6;
const percent = (share: number): string => `${Math.round(share * 100)}%`;

function noteConditions(bench: Bench, { neighbour, attack, refusedHandshakes, commandErrors }: Trial): void {
  const { alone, hostile } = neighbour;
  const figures = (way: NeighbourResult): string =>
    `p50 ${way.p50Ms.toFixed(1)}, p99 ${way.p99Ms.toFixed(1)}, at most ${way.maxMs.toFixed(0)} ms; ` +
    `server core ${percent(serverBusy(way))}, generator ${percent(way.generatorBusy)}`;
  bench.note(`alone: ${figures(alone)}`);
  bench.note(
    `attacked: ${figures(hostile)}, attacker ${percent(attack.busy)}; lag p99 ${neighbour.lagP99Ms.toFixed(1)} ms`,
  );
  const kinds = Object.entries(attack.begun).map(
    ([name, begun]) =>
      `${name} ${(begun / attack.seconds).toFixed(0)}/s (${attack.ended[name]} of ${begun} ended)`,
  );
  bench.note(
    `connections of the attacker, and how many the node ended: ${kinds.join(", ")}; ` +
      `${refusedHandshakes} handshakes refused, ${commandErrors} commands answered by an error`,
  );
}
