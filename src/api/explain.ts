import { type Grant, may } from "../auth/grants.ts";
import { ExplainParameters } from "../schema/parameters.ts";
import { shape } from "../schema/shape.ts";
import { type Answer, json } from "../transport/http/answer.ts";
import type { Request } from "../transport/http/http.ts";
import type { Caller } from "./caller.ts";

const checked = shape(ExplainParameters);

/** `?action=subscribe&channel=x` → whether the token's owner may, and which rule says so or would. */
export async function explain(request: Request, caller: Caller, rules: readonly Grant[]): Promise<Answer> {
  const identity = await caller.identify(request);
  const { query } = request.head;
  const { action, channel } = checked({ action: query.get("action"), channel: query.get("channel") });
  return json(200, { user: identity.user, action, channel, ...may(identity, action, channel, rules) });
}
