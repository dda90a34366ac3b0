import { type Logger, pino } from "pino";

/** A real logger whose lines the test can read. */
export function memoryLog(): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  const log = pino({ level: "trace", base: null }, { write: (line: string) => void lines.push(line) });
  return { log, lines };
}
