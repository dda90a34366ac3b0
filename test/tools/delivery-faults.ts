import type { Client, Delivery, Frame, Wire } from "./delivery.ts";

/** Ways to break the promises of a channel, and what the checker has to count. */

export function publish(world: Delivery, count: number): void {
  for (let i = 0; i < count; i++) world.publish();
}

export const wireOf = (client: Client) => client.wires[0] as Wire;

/** The frames under way to a client are changed by somebody. */
export function tamper(client: Client, change: (frames: Frame[]) => void): void {
  change(wireOf(client).queue);
}

export interface Fault {
  readonly name: string;
  readonly counted: "silent" | "duplicated" | "reordered" | "conflicting";
  /** `n` is any number. */
  inject(world: Delivery, victim: Client, n: number): void;
}

/** Frames of a few new events are under way to everybody; one of them, never the last, is chosen. */
function underWay(world: Delivery, n: number): number {
  publish(world, 5);
  return n % 4;
}

export const FAULTS: readonly Fault[] = [
  {
    name: "drops an event",
    counted: "silent",
    inject(world, victim, n) {
      const at = underWay(world, n);
      tamper(victim, (frames) => frames.splice(at, 1));
    },
  },
  {
    name: "drops the last event",
    counted: "silent",
    inject(world, victim) {
      publish(world, 3);
      tamper(victim, (frames) => frames.pop());
    },
  },
  {
    name: "drops an event that was not acknowledged, and goes on",
    counted: "silent",
    inject(world, victim) {
      world.publish("never");
      world.publish();
      tamper(victim, (frames) => frames.shift());
    },
  },
  {
    name: "repeats an event at once",
    counted: "duplicated",
    inject(world, victim, n) {
      const at = underWay(world, n);
      tamper(victim, (frames) => frames.splice(at, 0, frames[at] as Frame));
    },
  },
  {
    name: "repeats an old event",
    counted: "duplicated",
    inject(world, victim, n) {
      const at = underWay(world, n);
      tamper(victim, (frames) => frames.push(frames[at] as Frame));
    },
  },
  {
    name: "gives one publication two ids",
    counted: "duplicated",
    inject(world) {
      world.publish("never", '"again"');
      world.publish("now", '"again"');
    },
  },
  {
    name: "swaps two events",
    counted: "reordered",
    inject(world, victim, n) {
      const at = underWay(world, n);
      tamper(victim, (frames) => frames.splice(at, 2, frames[at + 1] as Frame, frames[at] as Frame));
    },
  },
  {
    name: "sends an event before `subscribed`",
    counted: "reordered",
    inject(world, victim) {
      world.cut(victim);
      world.publish();
      const wire = world.connect(victim);
      wire.queue.reverse();
    },
  },
  {
    name: "changes the data",
    counted: "conflicting",
    inject(world, victim, n) {
      const at = underWay(world, n);
      tamper(victim, (frames) => {
        const { event } = frames[at] as { event: { id: string; data: string; sentAt: number } };
        frames[at] = { event: { ...event, data: '"other"' } };
      });
    },
  },
  {
    name: "says resumed, and leaves out all that was missed",
    counted: "silent",
    inject(world, victim, n) {
      world.cut(victim);
      const missed = 1 + (n % 4);
      publish(world, missed);
      world.connect(victim, {}, missed);
    },
  },
  {
    name: "says resumed, and leaves out the first of what was missed",
    counted: "silent",
    inject(world, victim) {
      world.cut(victim);
      publish(world, 3);
      world.connect(victim, {}, 1);
    },
  },
  {
    name: "says resumed after the history was lost",
    counted: "silent",
    inject(world, victim) {
      world.cut(victim);
      world.lose();
      world.connect(victim, { resumed: true });
    },
  },
  {
    name: "loses the history and tells nobody",
    counted: "silent",
    inject(world) {
      world.lose([]);
      publish(world, 3);
    },
  },
  {
    name: "ignores `since`",
    counted: "silent",
    inject(world, victim) {
      world.cut(victim);
      publish(world, 3);
      world.connect(victim, { resumed: undefined }, 3);
    },
  },
  {
    name: "goes back and tells all but one",
    counted: "reordered",
    inject(world, victim) {
      publish(world, 3);
      world.flowAll();
      world.fork(
        2,
        world.clients.filter((one) => one !== victim),
      );
      publish(world, 2);
    },
  },
  {
    name: "goes back, and hides it from one that resumes",
    counted: "conflicting",
    inject(world, victim) {
      publish(world, 3);
      world.flowAll();
      world.cut(victim);
      world.fork(2);
      publish(world, 3);
      world.connect(victim, { resumed: true }, Number.POSITIVE_INFINITY);
    },
  },
];
