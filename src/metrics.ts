import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** A count by the value of one label. */
class Tally extends Map<string, number> {
  add(label: string): void {
    this.set(label, (this.get(label) ?? 0) + 1);
  }
}

/** Of one transport. */
class TransportCounts {
  opened = 0;
  delivered = 0;
  deliveredBytes = 0;
  readonly closed: Tally;

  constructor(closed: Tally) {
    this.closed = closed;
  }
}

class WebSocketCounts extends TransportCounts {
  readonly roundTrips = new Histogram({
    name: "tidegate_ping_round_trip_seconds",
    help: "From a ping to its pong.",
    buckets: [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [],
  });
}

/** Counted where it happens, as plain numbers: the hot path knows nothing of Prometheus. */
export class Counts {
  readonly closed = new Tally();
  readonly websocket = new WebSocketCounts(this.closed);
  readonly sse = new TransportCounts(this.closed);
  readonly refused = new Tally();
  readonly commands = new Tally();
  readonly commandErrors = new Tally();
  readonly received = { plain: 0, framed: 0 };
  readonly payloadsRefused = new Tally();
  readonly published = new Tally();
  /** What clients that came back were told: `resumed`, or why not. */
  readonly resumes = new Tally();
  holes = 0;
  historyReads = 0;
  readonly continuityLost = new Tally();
}

/** What a scrape reads. */
export interface MetricSources {
  readonly counts: Counts;
  connections(): Readonly<Record<Transport, number>>;
  readonly capacity: number;
  readonly hub: { readonly channels: number; readonly subscriptions: number; readonly recentBytes: number };
  readonly backplane: {
    readonly downSince: number | undefined;
    readonly connects: number;
    readonly probeMs: number;
  };
  /** Undefined: no channel has any. */
  readonly presence?: { readonly size: number; readonly joins: number; readonly leaves: number } | undefined;
  queuedBytes(): number;
  readonly revocations: { readonly size: number };
  draining(): boolean;
  ready(): boolean;
  readonly build: { version: string; node: string; uws: string };
}

interface Row {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  readonly label?: string;
  read(sources: MetricSources): number | Iterable<readonly [string, number]>;
}

type Transport = "websocket" | "sse";

function byTransport(
  { counts }: MetricSources,
  read: (counts: TransportCounts) => number,
): (readonly [Transport, number])[] {
  return [
    ["websocket", read(counts.websocket)],
    ["sse", read(counts.sse)],
  ];
}

/** Every metric of ours but the histogram; the README's table is made from it. */
export const METRICS: readonly Row[] = [
  {
    name: "tidegate_connections",
    type: "gauge",
    label: "transport",
    help: "Open connections of this node.",
    read: (s) => Object.entries(s.connections()),
  },
  {
    name: "tidegate_connection_capacity",
    type: "gauge",
    help: "Connections that this node may hold; 0 is no limit.",
    read: (s) => s.capacity,
  },
  {
    name: "tidegate_connections_opened_total",
    type: "counter",
    label: "transport",
    help: "Connections opened.",
    read: (s) => byTransport(s, ({ opened }) => opened),
  },
  {
    name: "tidegate_connections_closed_total",
    type: "counter",
    label: "reason",
    help: "Connections closed, by our code, or client (it closed, or its stream ended) or lost (no close frame).",
    read: (s) => s.counts.closed,
  },
  {
    name: "tidegate_handshakes_refused_total",
    type: "counter",
    label: "code",
    help: "Handshakes and event streams refused, by code.",
    read: (s) => s.counts.refused,
  },
  {
    name: "tidegate_subscriptions",
    type: "gauge",
    help: "Pairs of session and channel on this node.",
    read: (s) => s.hub.subscriptions,
  },
  {
    name: "tidegate_channels",
    type: "gauge",
    help: "Channels with a listener on this node.",
    read: (s) => s.hub.channels,
  },
  {
    name: "tidegate_commands_total",
    type: "counter",
    label: "type",
    help: "Commands of clients, by type.",
    read: (s) => s.counts.commands,
  },
  {
    name: "tidegate_command_errors_total",
    type: "counter",
    label: "code",
    help: "Error frames sent, by code.",
    read: (s) => s.counts.commandErrors,
  },
  {
    name: "tidegate_published_total",
    type: "counter",
    label: "result",
    help: "Events published through this node (frames and API): ok, or the code of the error.",
    read: (s) => s.counts.published,
  },
  {
    name: "tidegate_events_received_total",
    type: "counter",
    label: "source",
    help: "Events heard from the backplane: framed (published through a node) or plain (a Redis PUBLISH).",
    read: (s) => Object.entries(s.counts.received),
  },
  {
    name: "tidegate_payloads_refused_total",
    type: "counter",
    label: "reason",
    help: "Redis payloads that were no event.",
    read: (s) => s.counts.payloadsRefused,
  },
  {
    name: "tidegate_events_delivered_total",
    type: "counter",
    label: "transport",
    help: "Events handed to connections: of events with two readers on this node, twice as many.",
    read: (s) => byTransport(s, ({ delivered }) => delivered),
  },
  {
    name: "tidegate_delivered_bytes_total",
    type: "counter",
    label: "transport",
    help: "Bytes of events handed to connections.",
    read: (s) => byTransport(s, ({ deliveredBytes }) => deliveredBytes),
  },
  {
    name: "tidegate_resumes_total",
    type: "counter",
    label: "result",
    help: "Subscriptions from an id, a cursor, or with `last`: resumed, or why not.",
    read: (s) => s.counts.resumes,
  },
  {
    name: "tidegate_holes_total",
    type: "counter",
    help: "Events that did not belong behind the one before: the history was read to close the hole.",
    read: (s) => s.counts.holes,
  },
  {
    name: "tidegate_history_reads_total",
    type: "counter",
    help: "Reads of a channel's history, for holes and for clients that came back.",
    read: (s) => s.counts.historyReads,
  },
  {
    name: "tidegate_continuity_lost_total",
    type: "counter",
    label: "reason",
    help: "Times that the subscribers of a channel were told that events are missing.",
    read: (s) => s.counts.continuityLost,
  },
  {
    name: "tidegate_recent_bytes",
    type: "gauge",
    help: "Bytes of events held for clients that come back.",
    read: (s) => s.hub.recentBytes,
  },
  {
    name: "tidegate_presence_members",
    type: "gauge",
    help: "Pairs of user and channel with presence on this node.",
    read: (s) => s.presence?.size ?? 0,
  },
  {
    name: "tidegate_presence_changes_total",
    type: "counter",
    label: "change",
    help: "Users that this node reported to be in a channel with presence (join), and no more (leave).",
    read: (s) => [
      ["join", s.presence?.joins ?? 0],
      ["leave", s.presence?.leaves ?? 0],
    ],
  },
  {
    name: "tidegate_queued_bytes",
    type: "gauge",
    help: "Bytes that wait for all clients of this node.",
    read: (s) => s.queuedBytes(),
  },
  {
    name: "tidegate_revocations",
    type: "gauge",
    help: "Revocations that this node keeps.",
    read: (s) => s.revocations.size,
  },
  {
    name: "tidegate_backplane_up",
    type: "gauge",
    help: "1 while events travel both ways.",
    read: (s) => Number(s.backplane.downSince === undefined),
  },
  {
    name: "tidegate_backplane_connects_total",
    type: "counter",
    help: "Times that the subscriber connection was made and resubscribed.",
    read: (s) => s.backplane.connects,
  },
  {
    name: "tidegate_backplane_probe_seconds",
    type: "gauge",
    help: "Round trip of the newest probe through the backplane.",
    read: (s) => s.backplane.probeMs / 1000,
  },
  { name: "tidegate_ready", type: "gauge", help: "1 while /readyz says so.", read: (s) => Number(s.ready()) },
  {
    name: "tidegate_draining",
    type: "gauge",
    help: "1 while this node closes its connections to stop.",
    read: (s) => Number(s.draining()),
  },
];

export function createMetrics(sources: MetricSources): Registry {
  const registry = new Registry();
  // The event loop's lag is sampled by a timer: at the library's 10 ms it costs as much as a tenth of our work at 2,000
  // events/s. The resolution is part of each sample, so an idle node shows a lag of 20 ms.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 20 });
  // Gauges whose names end like counters: `promtool check metrics` refuses them, and each has a twin that says more.
  for (const name of ["handles", "requests", "resources"])
    registry.removeSingleMetric(`nodejs_active_${name}_total`);
  for (const row of METRICS) register(registry, row, sources);
  const build = new Gauge({
    name: "tidegate_build_info",
    help: "1, labelled with what runs.",
    labelNames: Object.keys(sources.build),
    registers: [registry],
  });
  build.set(sources.build, 1);
  registry.registerMetric(sources.counts.websocket.roundTrips);
  return registry;
}

function register(registry: Registry, { name, type, help, label, read }: Row, sources: MetricSources): void {
  const values = (): Iterable<readonly [Record<string, string>, number]> => {
    const found = read(sources);
    return typeof found === "number"
      ? [[{}, found]]
      : [...found].map(([value, n]) => [label ? { [label]: value } : {}, n] as const);
  };
  const options = { name, help, labelNames: label ? [label] : [], registers: [registry] };
  if (type === "gauge") {
    new Gauge({
      ...options,
      collect() {
        for (const [labels, n] of values()) this.set(labels, n);
      },
    });
  } else {
    new Counter({
      ...options,
      collect() {
        this.reset();
        for (const [labels, n] of values()) this.inc(labels, n);
      },
    });
  }
}
