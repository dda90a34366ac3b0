import type { Static } from "typebox";
import { type JsonLimits, member, members } from "../protocol/json.ts";
import { isTraceparent } from "../protocol/traceparent.ts";
import { historyQueryOf } from "../schema/decode.ts";
import { key as keySchema } from "../schema/fields.ts";
import { PublishBody } from "../schema/http.ts";
import { HistoryParameters } from "../schema/parameters.ts";
import { shape } from "../schema/shape.ts";
import { type History, historyMembers } from "../session/history.ts";
import { type Publisher, publishedMembers } from "../session/publisher.ts";
import { type Answer, json, jsonText } from "../transport/http/answer.ts";
import type { Request } from "../transport/http/http.ts";
import { numberIn } from "../transport/request.ts";
import { jsonBody } from "./body.ts";
import type { Caller } from "./caller.ts";
import { channelIn } from "./path.ts";

const checkedBody = shape(PublishBody);
const checkedKey = shape(keySchema);
const checkedHistory = shape(HistoryParameters);

/** `{"type"?, "data", "sender"?, "except"?}`, or `data_base64` → 201 `{"channel", "id", "listeners"}`: how many nodes heard it. */
export async function publish(
  request: Request,
  caller: Caller,
  publisher: Publisher,
  limits: JsonLimits,
): Promise<Answer> {
  const identity = await caller.identify(request);
  const channel = channelIn(request);
  const { idempotencyKey, traceparent } = request.head;
  const key = idempotencyKey === undefined ? undefined : checkedKey(idempotencyKey, channel);
  const { text, value } = await jsonBody(request, limits);
  const event = eventOf(text, checkedBody(value, channel));
  // W3C Trace Context, 3.2.1: a header that is none is taken for missing.
  const trace = isTraceparent(traceparent) ? traceparent : undefined;
  const published = await publisher.publish(identity, { channel, ...event, key, traceparent: trace });
  return json(201, { channel, ...publishedMembers(published) });
}

/** Of a checked body: its data as it was written, or its bytes. */
export function eventOf(text: string, body: Static<typeof PublishBody>) {
  const { type = "message", data_base64: base64, sender, except } = body;
  const data =
    base64 === undefined ? (member(members(text), "data") as string) : Buffer.from(base64, "base64");
  return { type, data, sender, except };
}

/** `?since=<id>` or `?before=<id>`, `&limit=` → 200 `{"channel", "id", "events", "more"}`, oldest first. */
export async function history(request: Request, caller: Caller, history: History): Promise<Answer> {
  const identity = await caller.identify(request);
  const channel = channelIn(request);
  const { query } = request.head;
  const wanted = {
    since: query.get("since") ?? undefined,
    before: query.get("before") ?? undefined,
    limit: numberIn(query, "limit"),
  };
  const page = await history.read(identity, channel, historyQueryOf(checkedHistory(wanted, channel)));
  return jsonText(200, `{"channel":"${channel}",${historyMembers(page)}}`);
}
