import { ACTIONS, type Grant, isAction, may } from "../auth/grants.ts";
import { isChannel } from "../protocol/channel.ts";
import { RequestError } from "../protocol/codes.ts";
import { type Answer, json } from "../transport/http/answer.ts";
import type { Request } from "../transport/http/http.ts";
import type { Caller } from "./caller.ts";

/** `?action=subscribe&channel=x` → whether the token's owner may, and which rule says so or would. */
export async function explain(request: Request, caller: Caller, rules: readonly Grant[]): Promise<Answer> {
  const identity = await caller.identify(request);
  const action = request.head.query.get("action");
  const channel = request.head.query.get("channel");
  if (!isAction(action))
    throw new RequestError("bad_frame", `query \`action\` is one of ${ACTIONS.join(", ")}`);
  if (!isChannel(channel)) throw new RequestError("bad_channel");
  return json(200, { user: identity.user, action, channel, ...may(identity, action, channel, rules) });
}
