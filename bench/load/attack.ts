import { connect, type Socket } from "node:net";
import { DRIPPED, makePools, pings, SLOW_HEAD, SLOW_LINE } from "./attack-bytes.ts";
import type { AttackJob, AttackResult } from "./hostile-job.ts";

const TICK_MS = 5;
/** What the node has not ended by then is reset. */
const HELD_MS = 500;

/** One connection after the other, so many a second: what it begins with, and what follows the first answer. */
interface Strike {
  name: string;
  perSecond: number;
  opening: readonly Buffer[];
  /** Whether the node answers what it begins with, by 101 or 401. */
  answered: boolean;
  blow: readonly Buffer[];
}

/** Connections that stay, and are opened again when the node ends them. */
interface Siege {
  name: string;
  connections: number;
  everyMs: number;
  opening: readonly Buffer[];
  /** Whether the rest waits for an answer to what it begins with. */
  answered: boolean;
  /** What is written at each step. */
  bytes: (step: number) => Buffer;
}

/** Attacks with all there is at once, from the first `go` to the second. */
export async function runAttack({ target }: AttackJob, ready: () => Promise<void>): Promise<AttackResult> {
  const pools = makePools(target.secret ?? "");
  const { handshakes } = pools;
  // Just under the rate of commands that a connection may have.
  const somePings = pings(9);
  const strikes: Strike[] = [
    { name: "fuzzed frames", perSecond: 80, opening: handshakes, answered: true, blow: pools.fuzz },
    { name: "oversized frames", perSecond: 10, opening: handshakes, answered: true, blow: pools.oversized },
    { name: "JSON bombs", perSecond: 40, opening: handshakes, answered: true, blow: pools.bombs },
    { name: "pings and fragments", perSecond: 30, opening: handshakes, answered: true, blow: pools.floods },
    { name: "malformed requests", perSecond: 200, opening: pools.requests, answered: false, blow: [] },
    { name: "bad tokens", perSecond: 250, opening: pools.badTokens, answered: true, blow: [] },
  ];
  const sieges: Siege[] = [
    {
      name: "slow heads",
      connections: 500,
      everyMs: 1_000,
      opening: [SLOW_HEAD],
      answered: false,
      bytes: () => SLOW_LINE,
    },
    {
      name: "dripped frames",
      connections: 100,
      everyMs: 100,
      opening: handshakes,
      answered: true,
      bytes: (step) => DRIPPED.subarray(step % DRIPPED.length, (step % DRIPPED.length) + 1),
    },
    {
      name: "pings at the limit",
      connections: 20,
      everyMs: 200,
      opening: handshakes,
      answered: true,
      bytes: () => somePings,
    },
  ];
  const attack = new Attack(target.port, strikes, sieges);

  await ready();
  const startMs = performance.now();
  const usedBefore = process.cpuUsage();
  attack.begin();
  await ready();
  attack.stop();
  const used = process.cpuUsage(usedBefore);
  const ms = performance.now() - startMs;
  const { begun, ended, handshakes: shaken, unanswered } = attack;
  return {
    seconds: ms / 1000,
    begun,
    ended,
    handshakes: shaken,
    unanswered,
    busy: (used.user + used.system) / ms / 1000,
  };
}

class Attack {
  readonly begun: Record<string, number> = {};
  readonly ended: Record<string, number> = {};
  handshakes = 0;
  unanswered = 0;
  readonly #port: number;
  readonly #strikes: Strike[];
  readonly #sieges: Siege[];
  readonly #sockets = new Set<Socket>();
  readonly #timers: NodeJS.Timeout[] = [];
  #over = false;

  constructor(port: number, strikes: Strike[], sieges: Siege[]) {
    this.#port = port;
    this.#strikes = strikes;
    this.#sieges = sieges;
    for (const { name } of [...strikes, ...sieges]) this.begun[name] = this.ended[name] = 0;
  }

  begin(): void {
    const startMs = performance.now();
    const counts = this.#strikes.map(() => 0);
    this.#timers.push(
      setInterval(() => {
        const seconds = (performance.now() - startMs) / 1000;
        for (const [index, strike] of this.#strikes.entries()) {
          const due = seconds * strike.perSecond;
          for (let count = counts[index] as number; count < due; count++) {
            this.#strike(strike, count);
            counts[index] = count + 1;
          }
        }
      }, TICK_MS),
    );
    for (const siege of this.#sieges)
      for (let place = 0; place < siege.connections; place++) this.#besiege(siege, place);
  }

  stop(): void {
    this.#over = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const socket of this.#sockets) this.#reset(socket);
  }

  #strike({ name, opening, answered, blow }: Strike, count: number): void {
    const socket = this.#open(name, opening, count);
    if (blow.length > 0) socket.once("data", () => socket.write(blow[count % blow.length] as Buffer));
    setTimeout(() => {
      if (this.#over) return;
      if (answered) this.handshakes++;
      if (answered && socket.bytesRead === 0) this.unanswered++;
      this.#reset(socket);
    }, HELD_MS);
  }

  /** Each of a siege's connections in a phase of its own. */
  #besiege({ name, connections, everyMs, opening, answered, bytes }: Siege, place: number): void {
    let socket: Socket | null = null;
    let step = 0;
    const next = (): void => {
      if (socket === null || socket.destroyed) {
        socket = this.#open(name, opening, place);
        step = 0;
      } else if (!answered || socket.bytesRead > 0) socket.write(bytes(step++));
    };
    const begin = (): void => void (this.#over || this.#timers.push(setInterval(next, everyMs)));
    setTimeout(begin, (everyMs * place) / connections);
  }

  #open(name: string, opening: readonly Buffer[], count: number): Socket {
    const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    this.begun[name] = (this.begun[name] ?? 0) + 1;
    this.#sockets.add(socket);
    socket.write(opening[count % opening.length] as Buffer);
    socket.on("data", () => {});
    socket.on("error", () => {}); // a reset is an end
    socket.once("close", () => {
      if (this.#sockets.delete(socket)) this.ended[name] = (this.ended[name] ?? 0) + 1;
    });
    return socket;
  }

  #reset(socket: Socket): void {
    this.#sockets.delete(socket);
    socket.resetAndDestroy();
  }
}
