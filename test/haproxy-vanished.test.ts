import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../deploy/local/process.ts";
import { run } from "./support/run.ts";

// That an address is gone needs a network of our own, for which one has to be root.
const canHaveNetwork = spawnSync("unshare", ["--net", "ip", "link"]).status === 0;

describe.skipIf(!canHaveNetwork)("an event stream whose client has vanished", () => {
  test("ends when HAPROXY_VANISHED_AFTER has passed, and not when Linux gives up", async () => {
    const script = `exec "${process.execPath}" --import tsx "${join(root, "test/tools/vanished.ts")}"`;
    const inside = `ip link set lo up && ${script}`;
    const options = { cwd: root, timeoutMs: 45_000 };
    const { stdout, stderr } = await run("unshare", ["--net", "--", "sh", "-c", inside], options);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual({ before: 2, after: 1 });
  }, 50_000);
});
