import { isUtf8 } from "node:buffer";
import { ACTIONS, type Grant, isAction, may } from "../auth/grants.ts";
import type { Identity } from "../auth/identity.ts";
import { isChannel } from "../protocol/channel.ts";
import { RequestError } from "../protocol/codes.ts";
import { eventTypeOf, senderOf } from "../protocol/commands.ts";
import { isObject, member, members, parse } from "../protocol/json.ts";
import type { Publisher } from "../session/publisher.ts";
import { type Answer, json } from "./answer.ts";
import { tokenOf } from "./credential.ts";
import type { Request, Route } from "./http.ts";

export interface ApiOptions {
  readonly publisher: Publisher;
  readonly rules: readonly Grant[];
  readonly cookieName: string | undefined;
  verify(token: string): Identity | Promise<Identity>;
}

/** What backends call. Every route needs a token. */
export function apiRoutes(options: ApiOptions): Route[] {
  return [
    { method: "post", path: "/v1/channels/:channel/events", handle: (request) => publish(request, options) },
    { method: "get", path: "/v1/explain", handle: (request) => explain(request, options) },
  ];
}

async function identify({ head }: Request, { cookieName, verify }: ApiOptions): Promise<Identity> {
  const token = tokenOf(head, cookieName);
  if (token === undefined) throw new RequestError("token_missing");
  return await verify(token);
}

/** `{"type"?, "data", "sender"?}` → 201 `{"channel", "listeners"}`: how many nodes heard it. */
async function publish(request: Request, options: ApiOptions): Promise<Answer> {
  const identity = await identify(request, options);
  const [channel] = request.params;
  if (!isChannel(channel)) throw new RequestError("bad_channel");
  if (!/^application\/json *(;|$)/i.test(request.head.contentType ?? ""))
    throw new RequestError("unsupported_media_type");
  if (request.head.idempotencyKey !== undefined) {
    throw new RequestError("not_supported", "`Idempotency-Key` needs history, which this node does not keep");
  }
  const body = await request.body();
  const text = isUtf8(body) ? body.toString("utf8") : "";
  const value = parse(text);
  if (!isObject(value)) throw new RequestError("bad_frame", "the body is one JSON object in UTF-8");
  const data = member(members(text), "data");
  if (data === undefined) throw new RequestError("bad_event", "`data` is required");
  const type = eventTypeOf(value.type, channel);
  const sender = senderOf(value.sender, channel);
  const listeners = await options.publisher.publish(identity, {
    channel,
    type,
    data,
    sender,
    except: undefined,
  });
  return json(201, { channel, listeners });
}

/** `?action=subscribe&channel=x` → whether the token's owner may, and which rule says so or would. */
async function explain(request: Request, options: ApiOptions): Promise<Answer> {
  const identity = await identify(request, options);
  const action = request.head.query.get("action");
  const channel = request.head.query.get("channel");
  if (!isAction(action))
    throw new RequestError("bad_frame", `query \`action\` is one of ${ACTIONS.join(", ")}`);
  if (!isChannel(channel)) throw new RequestError("bad_channel");
  return json(200, {
    user: identity.user,
    action,
    channel,
    ...may(identity, action, channel, options.rules),
  });
}
