import type { Identity } from "../auth/identity.ts";
import { RequestError } from "../protocol/codes.ts";
import { MAX_BATCH_EVENTS } from "../protocol/commands.ts";
import { checkComplexity, elements, type JsonLimits, member, members } from "../protocol/json.ts";
import { BatchEnvelope, BatchEvent } from "../schema/http.ts";
import { itsChannel, shape } from "../schema/shape.ts";
import { type Publisher, publishedMembers } from "../session/publisher.ts";
import { type Answer, json, problemBody } from "../transport/http/answer.ts";
import type { Request } from "../transport/http/http.ts";
import { jsonBody } from "./body.ts";
import type { Caller } from "./caller.ts";
import { eventOf } from "./events.ts";

export interface BatchOptions {
  readonly publisher: Publisher;
  readonly jsonLimits: JsonLimits;
  /** Of each event. */
  readonly maxEventBytes: number;
  /** In development mode a refusal says what would have helped. */
  readonly hints: boolean;
}

const checkedEnvelope = shape(BatchEnvelope);
const checkedEvent = shape(BatchEvent, itsChannel);
/** Of the whole body; HAProxy's HAPROXY_MAX_BODY is no less. */
export const MAX_BATCH_BYTES = 1024 * 1024;

/**
 * `{"events":[{"channel","type"?,"data","sender"?,"except"?,"key"?,"traceparent"?},…]}` → 201 `{"results":[{"status":201,"channel","id","listeners"},…]}`
 * in the same order; 207 when any was refused, which has a problem in its place. Those of one channel are published in order.
 */
export async function batch(request: Request, caller: Caller, options: BatchOptions): Promise<Answer> {
  const identity = await caller.identify(request);
  const { depth, keys } = options.jsonLimits;
  const limits = { depth: depth && depth + 3, keys: keys * MAX_BATCH_EVENTS };
  const { text, value } = await jsonBody(request, limits);
  const { events } = checkedEnvelope(value);
  const texts = elements(member(members(text), "events") as string);
  const results = await Promise.all(texts.map((one, i) => result(identity, one, events[i], options)));
  return json(results.every(({ status }) => status === 201) ? 201 : 207, { results });
}

async function result(
  identity: Identity,
  text: string,
  value: unknown,
  options: BatchOptions,
): Promise<{ status: number }> {
  try {
    return { status: 201, ...(await publishOne(identity, text, value, options)) };
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    return problemBody(error, options.hints);
  }
}

async function publishOne(
  identity: Identity,
  text: string,
  value: unknown,
  { publisher, jsonLimits, maxEventBytes }: BatchOptions,
): Promise<object> {
  const { channel, key, traceparent, ...event } = checkedEvent(value);
  if (Buffer.byteLength(text) > maxEventBytes)
    throw new RequestError("too_big", `the limit is ${maxEventBytes} bytes`, { channel });
  checkComplexity(text, jsonLimits);
  const published = await publisher.publish(identity, { channel, ...eventOf(text, event), key, traceparent });
  return { channel, ...publishedMembers(published) };
}
