import { membersQueryOf } from "../schema/decode.ts";
import { MembersParameters } from "../schema/parameters.ts";
import { shape } from "../schema/shape.ts";
import { type Presence, readMembers } from "../session/presence.ts";
import { type Answer, jsonText } from "../transport/http/answer.ts";
import type { Request } from "../transport/http/http.ts";
import { numberIn } from "../transport/request.ts";
import type { Caller } from "./caller.ts";
import { channelIn } from "./path.ts";

const checked = shape(MembersParameters);

/** `?after=<user>&limit=` → 200 `{"channel", "count", "members", "next"?}`, by name. */
export async function presence(
  request: Request,
  caller: Caller,
  presence: Presence | undefined,
): Promise<Answer> {
  const identity = await caller.identify(request);
  const channel = channelIn(request);
  const { query } = request.head;
  const wanted = { after: query.get("after") ?? undefined, limit: numberIn(query, "limit") };
  const asked = membersQueryOf(checked(wanted, channel));
  const members = await readMembers(presence, identity, channel, asked);
  return jsonText(200, `{"channel":"${channel}",${members}}`);
}
