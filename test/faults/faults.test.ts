import { appendFileSync } from "node:fs";
import { describe, expect } from "vitest";
import { verify } from "../../src/verify/run.ts";
import { test } from "../support/servers.ts";
import { token } from "../support/token.ts";
import { FAULTS } from "./faults.ts";
import { Rig } from "./rig.ts";

/** FAULTS=all: all of them, minutes long (`npm run faults` prints them as a table). */
const chosen = process.env.FAULTS === "all" ? FAULTS : FAULTS.filter(({ short }) => short);

const LOAD = {
  channels: 10,
  rate: 100,
  publishers: 4,
  via: "ws",
  clients: 40,
  channelsPerClient: 3,
  reconnectMs: 4_000,
  awayMs: 1_000,
  durationMs: 5_000,
  settleMs: 20_000,
  maxRetryMs: 1_000,
} as const;

/** For the table. */
function report(row: object): void {
  const { FAULTS_REPORT: file } = process.env;
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(row)}\n`);
}

describe("while", () => {
  test.for(chosen.map((fault) => [fault.name, fault] as const))(
    "%s, nothing is lost without a word",
    { timeout: 120_000 },
    async ([, fault], { stage, skip }) => {
      if (fault.unavailable !== undefined) {
        report({ name: fault.name, unavailable: fault.unavailable });
        skip(fault.unavailable);
      }
      const env = { TIDEGATE_COMMAND_RATE: "0", ...fault.rig?.env };
      const rig = await Rig.start(stage, { ...fault.rig, env });
      const found = await verify(
        {
          ...LOAD,
          url: rig.url,
          token: (user) => token({ sub: user }),
          strangerToken: () => token({ sub: "stranger", channels: {} }),
          allowTold: fault.isTold ?? false,
          ...(typeof fault.load === "function" ? fault.load(rig) : fault.load),
        },
        { onStarted: () => fault.inject(rig) },
      );
      report({ name: fault.name, ...found });
      expect(found.why).toEqual([]);
      // Else the fault was none, and the run shows nothing.
      if (fault.isTold) expect(Object.keys(found.told)).not.toEqual([]);
      expect(found.deliveries).toBeGreaterThan(1_000);
    },
  );
});
