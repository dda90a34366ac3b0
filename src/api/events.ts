import { isChannel } from "../protocol/channel.ts";
import { RequestError } from "../protocol/codes.ts";
import { eventTypeOf, senderOf } from "../protocol/commands.ts";
import { type JsonLimits, member, members } from "../protocol/json.ts";
import type { Publisher } from "../session/publisher.ts";
import { type Answer, json } from "../transport/answer.ts";
import type { Request } from "../transport/http.ts";
import { jsonBody } from "./body.ts";
import type { Caller } from "./caller.ts";

/** `{"type"?, "data", "sender"?}` → 201 `{"channel", "listeners"}`: how many nodes heard it. */
export async function publish(
  request: Request,
  caller: Caller,
  publisher: Publisher,
  limits: JsonLimits,
): Promise<Answer> {
  const identity = await caller.identify(request);
  const [channel] = request.params;
  if (!isChannel(channel)) throw new RequestError("bad_channel");
  if (request.head.idempotencyKey !== undefined) {
    throw new RequestError("not_supported", "`Idempotency-Key` needs history, which this node does not keep");
  }
  const { text, value } = await jsonBody(request, limits);
  const data = member(members(text), "data");
  if (data === undefined) throw new RequestError("bad_event", "`data` is required");
  const type = eventTypeOf(value.type, channel);
  const sender = senderOf(value.sender, channel);
  const listeners = await publisher.publish(identity, { channel, type, data, sender, except: undefined });
  return json(201, { channel, listeners });
}
