import { type Attendance, type Members, memberJson } from "../protocol/presence.ts";

interface Room {
  /** User → info. */
  readonly members: Map<string, string | undefined>;
  /** Sorted when somebody asks for them, until somebody comes or goes. */
  names: readonly string[] | undefined;
}

/** Who is in which channel, where there is one node: what it says is all there is. */
export class MemoryRoster {
  readonly #rooms = new Map<string, Room>();

  /** @returns whether that is news: the event to publish, `$join` or `$leave` */
  take({ channel, user, info, here }: Attendance): { type: string; data: string } | undefined {
    const room = this.#rooms.get(channel) ?? { members: new Map(), names: undefined };
    if (room.members.has(user) === here) return undefined;
    room.names = undefined;
    if (here) room.members.set(user, info);
    else room.members.delete(user);
    if (room.members.size > 0) this.#rooms.set(channel, room);
    else this.#rooms.delete(channel);
    return {
      type: here ? "$join" : "$leave",
      data: memberJson({ user, info: here ? info : undefined }),
    };
  }

  members(channel: string, after: string | undefined, limit: number): Members {
    const room = this.#rooms.get(channel);
    if (!room) return { count: 0, members: [] };
    room.names ??= [...room.members.keys()].sort(byBytes);
    const from = after === undefined ? 0 : firstBehind(room.names, after);
    const names = room.names.slice(from, from + limit);
    return {
      count: room.members.size,
      members: names.map((user) => ({ user, info: room.members.get(user) })),
    };
  }
}

/** As Redis orders them. Strings of JavaScript are compared by UTF-16, which differs beyond the first 65,536 characters. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function firstBehind(names: readonly string[], after: string): number {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (byBytes(names[middle] as string, after) > 0) high = middle;
    else low = middle + 1;
  }
  return low;
}
