import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Checker } from "../src/verify/checker.ts";
import { Counts } from "../src/verify/counts.ts";
import { type Client, Delivery, type Frame } from "./tools/delivery.ts";
import { FAULTS, publish, tamper, wireOf } from "./tools/delivery-faults.ts";

const CLIENTS = 3;
const CLEAN = { silent: 0, toldLost: 0, duplicated: 0, reordered: 0, conflicting: 0, lost: 0, late: 0 };

function start(clients = 1, options = {}): { world: Delivery; counts: Counts; client: Client } {
  const counts = new Counts();
  const world = new Delivery(new Checker(counts, options), clients);
  for (const client of world.clients) world.connect(client);
  world.flowAll();
  return { world, counts, client: world.clients[0] as Client };
}

function finish({ world, counts }: { world: Delivery; counts: Counts }): Counts {
  world.acknowledgeAll();
  world.flowAll();
  world.checker.finish();
  return counts;
}

type Step =
  | { readonly do: "publish"; readonly acknowledge: "now" | "later" | "never" }
  | { readonly do: "flow"; readonly client: number; readonly count: number }
  | { readonly do: "cut" | "connect" | "move" | "drop"; readonly client: number }
  | { readonly do: "acknowledge" | "judge" }
  | { readonly do: "fork"; readonly by: number }
  | { readonly do: "lose" };

const client = fc.nat({ max: CLIENTS - 1 });
const harmless: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      acknowledge: fc.constantFrom("now" as const, "later" as const, "never" as const),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("flow" as const), client, count: fc.integer({ min: 1, max: 9 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("cut" as const), client }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("connect" as const), client }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom("move" as const, "drop" as const), client }),
  },
  { weight: 2, arbitrary: fc.constant({ do: "acknowledge" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "judge" as const }) },
);
const losing: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: harmless },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("fork" as const), by: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: "lose" as const }) },
);

function take(world: Delivery, step: Step): void {
  const target = "client" in step ? (world.clients[step.client] as Client) : undefined;
  switch (step.do) {
    case "publish":
      return void world.publish(step.acknowledge);
    case "flow":
      for (const wire of target?.wires ?? []) world.flow(wire, step.count);
      return;
    case "cut":
      return world.cut(target as Client);
    case "connect":
      if (target?.wires.length === 0) world.connect(target);
      return;
    case "move":
      if (target?.wires.length === 1 && target.claim.isConnected) world.connect(target);
      return;
    case "drop":
      if (target?.wires.length === 2) world.cut(target);
      return;
    case "acknowledge":
      return world.acknowledgeAll();
    case "judge":
      return world.checker.judge(world.now);
    case "fork":
      // A client without the events that are gone cannot be told of them: nobody knows any more that they were.
      calm(world);
      world.acknowledgeAll();
      return world.fork(step.by);
    case "lose":
      world.acknowledgeAll();
      return world.lose();
  }
}

/** Everybody is there and has everything. */
function calm(world: Delivery): void {
  for (const one of world.clients) {
    while (one.wires.length > 1) world.cut(one);
    if (one.wires.length === 0) world.connect(one);
  }
  world.flowAll();
}

function play(steps: readonly Step[], options = {}) {
  const run = start(CLIENTS, options);
  for (const step of steps) take(run.world, step);
  calm(run.world);
  return run;
}

describe("a channel that keeps its promises", () => {
  it("is found clean, whoever comes, goes and moves", () => {
    fc.assert(
      fc.property(fc.array(harmless, { maxLength: 80 }), fc.constantFrom(1, 4, 1_000), (steps, keep) => {
        const counts = finish(play(steps, { keep }));
        expect(counts).toMatchObject({ ...CLEAN, worstDetectionMs: undefined });
        expect(counts.told.total).toBe(0);
      }),
    );
  });

  it("is found clean when Redis loses events and every client is told", () => {
    fc.assert(
      fc.property(fc.array(losing, { maxLength: 80 }), (steps) => {
        const counts = finish(play(steps));
        expect(counts).toMatchObject({ ...CLEAN, toldLost: counts.toldLost, lost: counts.toldLost });
        if (counts.told.total === 0) expect(counts.lost).toBe(0);
      }),
    );
  });
});

describe("a channel that", () => {
  it.each(FAULTS)("$name is found out", ({ counted, inject }) => {
    fc.assert(
      fc.property(fc.array(losing, { maxLength: 40 }), client, fc.nat(), (steps, victim, n) => {
        const run = play(steps);
        inject(run.world, run.world.clients[victim] as Client, n);
        expect(finish(run)[counted]).toBeGreaterThan(0);
      }),
    );
  });
});

describe("the checker", () => {
  it("counts what a client was told of as lost, but not as silent", () => {
    const run = start();
    publish(run.world, 2);
    run.world.flowAll();
    run.world.cut(run.client);
    publish(run.world, 3);
    run.world.connect(run.client, { resumed: false, reason: "trimmed" }, 3);
    publish(run.world, 1);
    const counts = finish(run);
    expect(counts).toMatchObject({ ...CLEAN, toldLost: 3, lost: 3, deliveries: 3 });
    expect([...counts.told]).toEqual([["trimmed", 1]]);
    expect([...counts.resumes]).toEqual([["trimmed", 1]]);
  });

  it("takes a hole as told when the client is told behind it", () => {
    const run = start();
    publish(run.world, 3);
    tamper(run.client, (frames) => frames.splice(1, 1));
    run.world.flowAll();
    expect(run.world.checker.outstanding).toBeGreaterThan(0);
    wireOf(run.client).stream.subscribed(
      { id: run.world.head, resumed: false, reason: "history_lost" },
      run.world.tick(700),
    );
    expect(run.world.checker.outstanding).toBe(0);
    const counts = finish(run);
    expect(counts).toMatchObject({ ...CLEAN, toldLost: 1, lost: 1 });
    expect(counts.worstDetectionMs).toBeGreaterThanOrEqual(700);
  });

  it("says how long a missed event was not known to be missed, if it comes after all", () => {
    const run = start();
    publish(run.world, 2);
    const [first] = wireOf(run.client).queue.splice(0, 1);
    run.world.flowAll();
    run.world.tick(3_000);
    wireOf(run.client).queue.push(first as Frame);
    const counts = finish(run);
    expect(counts).toMatchObject({ ...CLEAN, reordered: 1 });
    expect(counts.worstDetectionMs).toBeGreaterThanOrEqual(3_000);
  });

  it("calls a live delivery late after five seconds, and one by resume not", () => {
    const run = start(2);
    run.world.cut(run.world.clients[1] as Client);
    publish(run.world, 1);
    run.world.tick(6_000);
    run.world.connect(run.world.clients[1] as Client);
    const counts = finish(run);
    expect(counts).toMatchObject({ ...CLEAN, late: 1, deliveries: 2, recovered: 1 });
    expect(counts.worstLateMs).toBeGreaterThanOrEqual(6_000);
    expect(counts.latency.count).toBe(1);
  });

  it("does not count what a client misses that is away at the end", () => {
    const run = start(2);
    run.world.cut(run.client);
    publish(run.world, 3);
    run.world.flowAll();
    run.world.checker.finish();
    expect(run.counts).toMatchObject(CLEAN);
  });

  it("does not let a later word about another loss excuse a gap", () => {
    const run = start();
    publish(run.world, 3);
    tamper(run.client, (frames) => frames.splice(1, 1));
    run.world.flowAll();
    wireOf(run.client).stream.subscribed(
      { id: run.world.head, resumed: false, reason: "history_lost" },
      run.world.tick(31_000),
    );
    expect(finish(run)).toMatchObject({ ...CLEAN, silent: 1, lost: 1 });
  });

  it("holds what comes against what `subscribed` said was missed, though nobody else knows of it", () => {
    const run = start();
    run.world.cut(run.client);
    for (let i = 0; i < 3; i++) run.world.publish("never");
    run.world.connect(run.client, {}, 3);
    run.world.flowAll();
    expect(run.world.checker.outstanding).toBe(1);
    expect(finish(run)).toMatchObject({ ...CLEAN, silent: 3, lost: 3 });
  });

  it("counts what `subscribed` said was missed as lost while the run goes on", () => {
    const run = start(1, { patienceMs: 1_000 });
    run.world.cut(run.client);
    run.world.publish("never");
    run.world.connect(run.client, {}, 1);
    run.world.flowAll();
    run.world.checker.judge(run.world.tick(900));
    expect(run.counts.silent).toBe(0);
    run.world.checker.judge(run.world.tick(200));
    expect(run.counts.silent).toBe(1);
    expect(finish(run).silent).toBe(1);
  });

  it("takes the gateway's own events as part of the history, and as nothing else", () => {
    const run = start(2);
    const join = (offset: number) =>
      ({ id: `e1-j${offset}:${offset}`, data: '{"user":"ann"}', sentAt: 0, origin: "gateway" }) as const;
    for (const { wires } of run.world.clients)
      for (const offset of [1, 2]) wires[0]?.stream.event(join(offset), run.world.tick());
    expect(run.counts.latency.count).toBe(0);
    expect(run.counts).toMatchObject({ ...CLEAN, deliveries: 0, recovered: 0 });
    wireOf(run.client).stream.event(join(2), run.world.tick());
    wireOf(run.client).stream.event(join(4), run.world.tick());
    expect(finish(run)).toMatchObject({ duplicated: 1, silent: 2 }); // 4 is missing at the other one
  });

  it("counts an event of somebody else as foreign", () => {
    const run = start();
    const event = { id: "e1-f:1", data: '{"run":"other"}', sentAt: 0, origin: "foreign" } as const;
    wireOf(run.client).stream.event(event, run.world.tick());
    expect(finish(run)).toMatchObject({
      ...CLEAN,
      foreign: 1,
      firstForeign: '{"run":"other"}',
      deliveries: 0,
    });
  });

  it("judges as it goes: what is missing for too long is lost", () => {
    const run = start(1, { patienceMs: 1_000 });
    publish(run.world, 3);
    tamper(run.client, (frames) => frames.splice(1, 2));
    run.world.flowAll();
    run.world.checker.judge(run.world.tick(900));
    expect(run.counts.silent).toBe(0);
    run.world.checker.judge(run.world.tick(200));
    expect(run.counts.silent).toBe(2);
    expect(run.world.checker.outstanding).toBe(0);
    expect(finish(run).silent).toBe(2);
  });

  it("forgets what everybody has passed, and knows a repetition all the same", () => {
    const run = start(2, { keep: 10 });
    for (let i = 0; i < 1_000; i++) {
      publish(run.world, 1);
      run.world.flowAll();
    }
    expect(run.world.checker.remembered).toBeLessThanOrEqual(20);
    wireOf(run.client).stream.event({ id: "e1-x1:1", data: '"1"', sentAt: 0 }, run.world.tick());
    expect(finish(run)).toMatchObject({ ...CLEAN, duplicated: 1 });
  });

  it("forgets what is kept for a client that stays away", () => {
    const run = start(2, { keep: 10, patienceMs: 1_000 });
    run.world.cut(run.client);
    for (let i = 0; i < 1_000; i++) {
      publish(run.world, 1);
      run.world.flowAll();
      run.world.checker.judge(run.world.tick(10));
    }
    expect(run.world.checker.remembered).toBeLessThan(300);
    // It comes back, and gets all that the others got long ago.
    run.world.connect(run.client);
    expect(finish(run)).toMatchObject({ ...CLEAN, deliveries: 2_000 });
  });

  it("forgets what nobody acknowledges", () => {
    const run = start(2, { keep: 10, patienceMs: 1_000 });
    for (let i = 0; i < 1_000; i++) {
      run.world.publish("never");
      run.world.flowAll();
      run.world.checker.judge(run.world.tick(10));
    }
    expect(run.world.checker.remembered).toBeLessThanOrEqual(20);
    expect(finish(run)).toMatchObject({ ...CLEAN, deliveries: 2_000 });
  });

  it("finds no fault with the same event in another client's place of the history when all were told", () => {
    const run = start(2);
    publish(run.world, 4);
    run.world.flowAll();
    run.world.fork(2);
    publish(run.world, 4);
    expect(finish(run)).toMatchObject({ ...CLEAN, deliveries: 16 });
  });

  it("refuses what is no id", () => {
    const { world, client } = start();
    expect(() => world.checker.acknowledged("c", "", "1", 0)).toThrow("no id");
    expect(() => wireOf(client).stream.event({ id: "7", data: "1", sentAt: 0 }, 0)).toThrow("no id");
  });
});
