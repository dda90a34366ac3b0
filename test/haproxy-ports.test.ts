import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../deploy/local/process.ts";
import { run } from "./support/run.ts";

// A pair of addresses has only so many ports, 28,000 by default: a hundred here, in a network of our own, for which
// one has to be root.
const canHaveNetwork = spawnSync("unshare", ["--net", "ip", "link"]).status === 0;

interface Outcome {
  open: number;
  answering: number;
  refused: (number | string)[];
  connectErrors: number[];
  cpu: number;
}

describe.skipIf(!canHaveNetwork)("when HAProxy has no port left to a node", () => {
  test("clients are refused cleanly, those there are stay, and a second node makes room", async () => {
    const inside = [
      "ip link set lo up",
      'echo "40000 40099" >/proc/sys/net/ipv4/ip_local_port_range',
      `exec "${process.execPath}" --import tsx "${join(root, "test/tools/few-ports.ts")}"`,
    ].join(" && ");
    const options = { cwd: root, timeoutMs: 30_000 };
    const { stdout, stderr } = await run("unshare", ["--net", "--", "sh", "-c", inside], options);
    expect(stderr).toBe("");
    const { one, two } = JSON.parse(stdout) as { one: Outcome; two: Outcome };
    expect(one.open).toBeGreaterThanOrEqual(90);
    expect(one.open).toBeLessThanOrEqual(100);
    expect(one.answering).toBe(one.open);
    expect(new Set(one.refused)).toEqual(new Set([503]));
    expect(one.connectErrors).toEqual([150 - one.open]);
    expect(one.cpu).toBeLessThan(1);
    expect([two.open, two.answering, two.refused]).toEqual([150, 150, []]);
  }, 40_000);
});
