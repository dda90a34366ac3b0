import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** `silent`: no answer and no end, until the library's idle timeout. */
export type Verdict = "served" | "refused" | "silent";

export interface Answers {
  verdict: Verdict;
  /** Of all answers, in order. */
  statuses: number[];
}

/** What has not been answered by now is not going to be. */
const PATIENCE_MS = 1_000;
/** For an answer that should not come behind the one that did. */
const MORE_MS = 250;
/** Between two writes, so that they are two reads; of many, some always are. */
const gapMs = (segments: number) => (segments > 10 ? 1 : 30);

/** Sends these segments over a connection of their own, each in a write of its own, and counts the answers. */
export async function converse(port: number, segments: readonly (string | Buffer)[]): Promise<Answers> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let received = "";
  let ended = false;
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
  });
  socket.on("error", () => {}); // a reset is an end
  socket.on("close", () => {
    ended = true;
  });
  for (const segment of segments) {
    socket.write(segment);
    if (segments.length > 1) await sleep(gapMs(segments.length));
  }
  const start = performance.now();
  while (!ended && performance.now() - start < (received === "" ? PATIENCE_MS : MORE_MS)) await sleep(5);
  socket.destroy();
  const statuses = [...received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]));
  return { verdict: verdictOf(statuses, ended), statuses };
}

function verdictOf(statuses: readonly number[], ended: boolean): Verdict {
  if (statuses.some((status) => status < 400)) return "served";
  return statuses.length > 0 || ended ? "refused" : "silent";
}
