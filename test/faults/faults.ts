import type { VerifyOptions } from "../../src/verify/options.ts";
import type { Rig, RigOptions } from "./rig.ts";

export interface Fault {
  readonly name: string;
  readonly rig?: RigOptions;
  readonly load?: Partial<VerifyOptions>;
  /** Redis loses events, or the history ends: clients are to be told. */
  readonly isTold?: true;
  /** Among those that every run of all tests goes through. */
  readonly short?: true;
  inject(rig: Rig): Promise<void>;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What happens, one at a time, while events are published and followed by clients that reconnect at random. */
export const FAULTS: readonly Fault[] = [
  {
    name: "none: clients reconnect, half of them by a second connection first",
    inject: async () => pause(8_000),
  },
  {
    name: "a node is killed (SIGKILL), another takes its place",
    short: true,
    async inject(rig) {
      await pause(2_000);
      rig.node(0).kill("SIGKILL");
      await pause(2_000);
      await rig.restartNode(0);
      await pause(3_000);
    },
  },
  {
    name: "two nodes are killed, two seconds apart",
    async inject(rig) {
      await pause(2_000);
      rig.node(0).kill("SIGKILL");
      await pause(2_000);
      rig.node(1).kill("SIGKILL");
      await pause(3_000);
      await Promise.all([rig.restartNode(0), rig.restartNode(1)]);
      await pause(3_000);
    },
  },
  {
    name: "a node stands still for 20 s (SIGSTOP)",
    async inject(rig) {
      await pause(2_000);
      rig.node(0).kill("SIGSTOP");
      await pause(20_000);
      rig.node(0).kill("SIGCONT");
      await pause(5_000);
    },
  },
  {
    name: "a node is stopped (SIGTERM) and moves its clients",
    async inject(rig) {
      await pause(2_000);
      rig.node(0).kill("SIGTERM");
      await pause(12_000);
      await rig.restartNode(0);
      await pause(2_000);
    },
  },
  {
    name: "Redis is killed and started again, with its append-only file",
    rig: { keeps: "everything" },
    async inject(rig) {
      await pause(3_000);
      rig.redis.kill("SIGKILL");
      await pause(1_000);
      await rig.restartRedis();
      await pause(6_000);
    },
  },
  {
    name: "Redis is killed and started again, empty",
    isTold: true,
    short: true,
    async inject(rig) {
      await pause(3_000);
      rig.redis.kill("SIGKILL");
      await pause(1_000);
      await rig.restartRedis();
      await pause(6_000);
    },
  },
  {
    name: "Redis is killed and started again from an old snapshot",
    rig: { keeps: "snapshot" },
    isTold: true,
    async inject(rig) {
      await pause(2_000);
      await rig.redis.cli("SAVE");
      await pause(2_000);
      rig.redis.kill("SIGKILL");
      await rig.restartRedis();
      await pause(6_000);
    },
  },
  {
    name: "the nodes' subscriber connections are killed, twenty times",
    short: true,
    async inject(rig) {
      for (let i = 0; i < 20; i++) {
        await pause(400);
        await rig.redis.cli("CLIENT", "KILL", "TYPE", "pubsub");
      }
      await pause(2_000);
    },
  },
  {
    name: "Redis answers nobody for 5 s (CLIENT PAUSE)",
    async inject(rig) {
      await pause(2_000);
      await rig.redis.cli("CLIENT", "PAUSE", "5000", "ALL");
      await pause(9_000);
    },
  },
  {
    name: "Redis hangs for 15 s (SIGSTOP)",
    async inject(rig) {
      await pause(2_000);
      rig.redis.kill("SIGSTOP");
      await pause(15_000);
      rig.redis.kill("SIGCONT");
      await pause(6_000);
    },
  },
  {
    name: "Redis drops a node that does not read (output buffer limit)",
    load: { rate: 300, publishers: 8 },
    async inject(rig) {
      await rig.redis.cli("CONFIG", "SET", "client-output-buffer-limit", "pubsub 32kb 32kb 0");
      await pause(2_000);
      rig.node(0).kill("SIGSTOP");
      await pause(8_000);
      rig.node(0).kill("SIGCONT");
      await pause(5_000);
    },
  },
  {
    name: "Sentinel makes a replica the master that has everything",
    rig: { sentinel: true },
    async inject(rig) {
      await pause(3_000);
      await rig.failOver();
      await pause(8_000);
    },
  },
  {
    name: "Sentinel makes a replica the master that lags behind by acknowledged events",
    rig: { sentinel: true },
    isTold: true,
    async inject(rig) {
      await pause(3_000);
      rig.replication?.swallow();
      await pause(1_000); // a hundred events and more that the replica never hears of
      await rig.failOver();
      await pause(8_000);
    },
  },
  {
    name: "the connection of one node to Redis is a black hole",
    rig: { proxied: true },
    async inject(rig) {
      await pause(2_000);
      rig.proxy?.swallow();
      await pause(14_000);
    },
  },
  {
    name: "clients go from node to node without a rest",
    load: { reconnectMs: 500, awayMs: 300 },
    inject: async () => pause(8_000),
  },
  {
    name: "HAProxy is reloaded",
    async inject(rig) {
      await pause(2_000);
      const { httpPort, httpsPort, metricsPort, process } = rig.haproxy;
      await rig.stage.haproxy({
        nodes: rig.nodes,
        httpPort,
        httpsPort,
        metricsPort,
        args: ["-sf", String(process.pid)],
      });
      await pause(6_000);
    },
  },
  {
    name: "the history is shorter than what clients miss",
    rig: { env: { TIDEGATE_HISTORY: '{"*":{"size":5,"time":"10m"}}' } },
    load: { rate: 300, publishers: 8, awayMs: 2_000, reconnectMs: 3_000 },
    isTold: true,
    inject: async () => pause(8_000),
  },
  {
    name: "nodes hold no events for those who come back, and read all from Redis",
    rig: { env: { TIDEGATE_RECENT_BYTES: "0" } },
    load: { reconnectMs: 1_500 },
    inject: async () => pause(8_000),
  },
];
