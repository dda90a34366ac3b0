import type { VerifyOptions } from "../../src/verify/options.ts";
import { NO_WRONG_CLOCKS } from "../support/clock.ts";
import { LostMessages } from "../support/lost-messages.ts";
import { metric } from "../support/metrics.ts";
import { token } from "../support/token.ts";
import type { Rig, RigOptions } from "./rig.ts";

export interface Fault {
  readonly name: string;
  readonly rig?: RigOptions;
  readonly load?: Partial<VerifyOptions> | ((rig: Rig) => Partial<VerifyOptions>);
  /** Redis loses events, or the history ends: clients are to be told. */
  readonly isTold?: true;
  /** Among those that every run of all tests goes through. */
  readonly short?: true;
  /** Why it cannot be tried on this machine. */
  readonly unavailable?: string | undefined;
  /** @throws when the fault was none, and the run would show nothing */
  inject(rig: Rig): Promise<void>;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function closedForSilence({ nodes }: Rig): Promise<number> {
  const closed = await Promise.all(
    nodes.map((node) => metric(node, 'tidegate_connections_closed_total{reason="no_pong"}')),
  );
  return closed.reduce((sum, count) => sum + count, 0);
}

/** Valid whatever a node's clock says: the times in a token are the one thing that goes by it. */
const TIMELESS = { expiresIn: "7d", noTimestamp: true } as const;

/** What time each node says it is, in hours from now. */
async function hoursOff({ stage, nodes, redis }: Rig): Promise<number[]> {
  return Promise.all(
    nodes.map(async ({ id, webSocketUrl }) => {
      const options = { token: token(TIMELESS), channels: [`clock-${id}`] };
      const client = await stage.client(webSocketUrl, options);
      await client.next("subscribed");
      await redis.cli("PUBLISH", `tidegate:clock-${id}`, "1"); // has the time of who delivers it
      const { timestamp } = await client.next("message");
      client.stop();
      return Math.round((Date.parse(String(timestamp)) - Date.now()) / 3_600_000);
    }),
  );
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
  {
    name: "pub/sub loses every third event for one node, then all, while its connection stands",
    rig: { proxied: true },
    async inject(rig) {
      let every = 3;
      let seen = 0;
      const lost = new LostMessages((name) => name.startsWith("tidegate!verify-") && ++seen % every === 0);
      if (rig.proxy) rig.proxy.answer = lost.cut;
      await pause(5_000);
      every = 1; // to the end: nothing more shows what is missing
      await pause(15_000);
      if (lost.count < 100) throw new Error(`only ${lost.count} of ${seen} messages were lost`);
    },
  },
  {
    name: "half of the clients stop to read for 8 s, and for 25 s, which some are cut off for",
    rig: { clientsProxied: true, env: { TIDEGATE_HEARTBEAT: "22s" } },
    // Past the proxy, events are published meanwhile; and nobody leaves by chance a connection that stalls.
    load: ({ redis }) => ({ via: { redis: redis.url, prefix: "tidegate" }, reconnectMs: 0 }),
    async inject(rig) {
      await pause(2_000);
      rig.clients?.stall(2);
      await pause(8_000);
      rig.clients?.goOn();
      await pause(4_000);
      const early = await closedForSilence(rig);
      if (early > 0) throw new Error(`${early} clients were cut off within eight seconds`);
      rig.clients?.stall(2);
      await pause(25_000);
      // Who was pinged in the first fifteen seconds: a pong may take ten.
      if ((await closedForSilence(rig)) === 0) throw new Error("nobody was cut off");
      rig.clients?.goOn();
      await pause(4_000);
    },
  },
  {
    name: "the nodes' clocks are a day ahead, a day behind, and jump by two days",
    unavailable: NO_WRONG_CLOCKS,
    rig: { clocks: ["+1d", "-1d", "+1d"] },
    load: {
      token: (user) => token({ sub: user, ...TIMELESS }),
      strangerToken: () => token({ sub: "stranger", channels: {}, ...TIMELESS }),
      reconnectMs: 2_000,
    },
    async inject(rig) {
      const jumping = rig.clocks.at(2);
      for (const [offset, hours] of [
        ["+1d", 24],
        ["-1d", -24],
        ["+1d", 24],
      ] as const) {
        await jumping?.set(offset);
        await pause(4_000);
        const off = await hoursOff(rig);
        if (off.join() !== [24, -24, hours].join())
          throw new Error(`the nodes' clocks are off by ${off.join()} h`);
      }
    },
  },
];
