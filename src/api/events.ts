import { RequestError } from "../protocol/codes.ts";
import { eventTypeOf, historyQueryOf, keyOf, senderOf } from "../protocol/commands.ts";
import { type JsonLimits, member, members } from "../protocol/json.ts";
import { isTraceparent } from "../protocol/traceparent.ts";
import { type History, historyMembers } from "../session/history.ts";
import { type Publisher, publishedMembers } from "../session/publisher.ts";
import { type Answer, json, jsonText } from "../transport/http/answer.ts";
import type { Request } from "../transport/http/http.ts";
import { numberIn } from "../transport/request.ts";
import { jsonBody } from "./body.ts";
import type { Caller } from "./caller.ts";
import { channelIn } from "./path.ts";

/** `{"type"?, "data", "sender"?}` → 201 `{"channel", "id", "listeners"}`: how many nodes heard it. */
export async function publish(
  request: Request,
  caller: Caller,
  publisher: Publisher,
  limits: JsonLimits,
): Promise<Answer> {
  const identity = await caller.identify(request);
  const channel = channelIn(request);
  const key = keyOf(request.head.idempotencyKey, channel);
  const { text, value } = await jsonBody(request, limits);
  const { traceparent } = request.head;
  // W3C Trace Context, 3.2.1: a header that is none is taken for missing.
  const trace = isTraceparent(traceparent) ? { traceparent } : {};
  const event = { ...eventIn(text, value, channel), key, ...trace };
  return json(201, { channel, ...publishedMembers(await publisher.publish(identity, event)) });
}

/** What an object asks to be published. @throws {RequestError} bad_event */
export function eventIn(text: string, value: Record<string, unknown>, channel: string) {
  const data = member(members(text), "data");
  if (data === undefined) throw new RequestError("bad_event", "`data` is required", { channel });
  const type = eventTypeOf(value.type, channel);
  return { channel, type, data, sender: senderOf(value.sender, channel), except: undefined };
}

/** `?since=<id>` or `?before=<id>`, `&limit=` → 200 `{"channel", "id", "events", "more"}`, oldest first. */
export async function history(request: Request, caller: Caller, history: History): Promise<Answer> {
  const identity = await caller.identify(request);
  const channel = channelIn(request);
  const { query } = request.head;
  const page = await history.read(
    identity,
    channel,
    historyQueryOf({
      channel,
      since: query.get("since") ?? undefined,
      before: query.get("before") ?? undefined,
      limit: numberIn(query, "limit"),
    }),
  );
  return jsonText(200, `{"channel":"${channel}",${historyMembers(page)}}`);
}
