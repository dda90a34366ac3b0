const TYPE = /^[A-Za-z][A-Za-z0-9_.:-]{0,63}$/;

/** The control words of the protocol: frozen, and never the type of a published event. `message` may be published. */
export const CONTROL_WORDS: ReadonlySet<string> = new Set([
  "auth",
  "authenticated",
  "subscribe",
  "subscribed",
  "unsubscribe",
  "unsubscribed",
  "publish",
  "published",
  "history",
  "presence",
  "job",
  "accepted",
  "ping",
  "pong",
  "welcome",
  "error",
  "closing",
]);

/** Whether a publisher may use `type`. What begins with `$` is the gateway's and does not match the grammar. */
export function isEventType(type: unknown): type is string {
  return typeof type === "string" && TYPE.test(type) && !CONTROL_WORDS.has(type);
}

/** What is delivered, without its payload. */
export interface EventHead {
  readonly type: string;
  readonly channel: string;
  /** Of an event that the channel's history holds. */
  readonly id?: string | undefined;
  /** RFC 3339. */
  readonly timestamp: string;
  /** Who published it, set by the gateway. */
  readonly sender?: string | undefined;
}

/** Beginning of an event's frame up to its payload. `type` and `channel` have passed their grammar: no escaping. */
function open(head: EventHead): string {
  const id = head.id === undefined ? "" : `,"id":"${head.id}"`;
  return `{"type":"${head.type}","channel":"${head.channel}"${id},"timestamp":"${head.timestamp}"`;
}

function sender(head: EventHead): string {
  return head.sender === undefined ? "" : `,"sender":${JSON.stringify(head.sender)}`;
}

/** The frame of an event whose payload is the JSON text `data`. */
export function encodeEvent(head: EventHead, data: string): string {
  return `${open(head)},"data":${data}${sender(head)}}`;
}

/** The frame of an event with a binary payload for clients that speak JSON only: `encodeHead`, and the payload. */
export function encodeBase64Event(head: EventHead, base64: string): string {
  return `${open(head)}${sender(head)},"data_base64":"${base64}"}`;
}

/** The JSON in front of a binary frame's payload (see `binary.ts`). */
export function encodeHead(head: EventHead): string {
  return `${open(head)}${sender(head)}}`;
}
