import { cursorHead, encodeMark } from "../protocol/cursor.ts";
import { isObject, parse } from "../protocol/json.ts";
import { formatId, type Position } from "../protocol/position.ts";
import { Connection, type Frame } from "./connection.ts";
import type { ConnectionEnd } from "./ended.ts";
import { EventStream } from "./event-stream.ts";
import { streamUrl } from "./sse-conversation.ts";

/** A channel, and a place in it that somebody knows of who has no right to it. */
export interface Target {
  readonly channel: string;
  readonly position: Position;
}

export interface Intruder {
  /** `http://host:port`, and `ws://…/ws`. */
  readonly url: { readonly http: string; readonly webSocket: string };
  readonly token: string;
}

/** What came of an attempt to get in; an object: nothing that says whether one gets in. */
export type Outcome = "refused" | "let in" | { readonly notTried: string };

export type Targets = readonly [Target, ...Target[]];
/** May be called more than once: who was refused may be sent something all the same. */
type Tell = (outcome: Outcome) => void;
/** Begins an attempt. @returns ends it */
type Trespass = (targets: Targets, intruder: Intruder, tell: Tell) => () => void;

/** What a token or a rule of the server has to grant. */
export type Action = "subscribe" | "history";

/** The ways to what a channel says: each is guarded by itself. */
export const TRESPASSES: Readonly<Record<string, { readonly needs: Action; readonly begin: Trespass }>> = {
  frame: { needs: "subscribe", begin: byFrame },
  query: { needs: "subscribe", begin: byQuery },
  stream: { needs: "subscribe", begin: byStream },
  streams: { needs: "subscribe", begin: byStreams },
  history: { needs: "history", begin: byHistory },
};

function byFrame([{ channel, position }]: Targets, { url, token }: Intruder, tell: Tell): () => void {
  const connection: Connection = new Connection({
    url: url.webSocket,
    token,
    onFrame: (frame) => {
      const since = formatId(position);
      if (frame.type === "welcome") connection.send({ type: "subscribe", ref: 1, channel, since });
      else hear(frame, tell);
    },
    onEnd: (end) => tell(outcomeOf(end)),
  });
  return () => connection.cut();
}

function byQuery(targets: Targets, { url, token }: Intruder, tell: Tell): () => void {
  const { query, cursor } = cursorOf(targets);
  query.append("cursor", cursor);
  const connection = new Connection({
    url: `${url.webSocket}?${query}`,
    token,
    onFrame: (frame) => hear(frame, tell),
    onEnd: (end) => tell(outcomeOf(end)),
  });
  return () => connection.cut();
}

function byStream([{ channel, position }]: Targets, { url, token }: Intruder, tell: Tell): () => void {
  return follow(streamUrl(url.http, [channel]), token, formatId(position), tell);
}

function byStreams(targets: Targets, { url, token }: Intruder, tell: Tell): () => void {
  const { query, cursor } = cursorOf(targets);
  return follow(`${url.http}/v1/events?${query}`, token, cursor, tell);
}

function byHistory([{ channel, position }]: Targets, { url, token }: Intruder, tell: Tell): () => void {
  const request = new AbortController();
  const query = new URLSearchParams({ since: formatId(position) });
  fetch(`${url.http}/v1/channels/${channel}/events?${query}`, {
    headers: { authorization: `Bearer ${token}`, accept: "application/json" },
    redirect: "manual",
    signal: request.signal,
  }).then(
    ({ status }) => tell(status === 200 ? "let in" : outcomeOf({ why: `${status}`, status })),
    ({ message }: Error) => tell({ notTried: message }),
  );
  return () => request.abort();
}

/** @returns the rule that lets somebody do it, as the node says; undefined: it says of none */
export async function ruleFor(
  action: Action,
  channel: string,
  { url, token }: Intruder,
): Promise<string | undefined> {
  const query = new URLSearchParams({ action, channel });
  const response = await fetch(`${url.http}/v1/explain?${query}`, {
    headers: { authorization: `Bearer ${token}` },
    redirect: "manual",
    signal: AbortSignal.timeout(EXPLAIN_MS),
  });
  const answer = parse(await response.text());
  if (response.status !== 200 || !isObject(answer) || answer.allowed !== true) return undefined;
  return typeof answer.rule === "string" ? answer.rule : undefined;
}

const EXPLAIN_MS = 5_000;

function hear({ type, code, timestamp }: Frame, tell: Tell): void {
  if (type === "subscribed" || timestamp !== undefined) tell("let in");
  else if (type === "error") tell(code === "forbidden" ? "refused" : { notTried: String(code) });
}

function follow(url: string, token: string, lastEventId: string, tell: Tell) {
  const stream = new EventStream({
    url,
    token,
    lastEventId,
    onBlock: ({ type, id, data }) => {
      // A balancer without a node says no more than when to come back.
      const saysNothing = id === undefined && data === undefined;
      if (!saysNothing && type !== "$error" && type !== "$closing") tell("let in");
    },
    onEnd: (end) => tell(outcomeOf(end)),
  });
  return () => stream.cut();
}

function outcomeOf({ why, status }: Pick<ConnectionEnd, "why" | "status">): Outcome {
  return status === 403 ? "refused" : { notTried: why };
}

/** Several channels, and where in them: also of one this is another way in than its own. */
function cursorOf(targets: readonly Target[]): { query: URLSearchParams; cursor: string } {
  const channels = targets.map(({ channel }) => channel);
  const marks = targets.map(({ position }) => encodeMark(position));
  const query = new URLSearchParams(channels.map((channel): [string, string] => ["channel", channel]));
  return { query, cursor: cursorHead(channels) + marks.join("") };
}
