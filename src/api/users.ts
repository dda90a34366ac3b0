import { isName, NAME_RULE } from "../auth/identity.ts";
import { RequestError } from "../protocol/codes.ts";
import { type Answer, json, NO_CONTENT } from "../transport/http/answer.ts";
import type { Request } from "../transport/http/http.ts";
import type { Caller } from "./caller.ts";
import type { RevocationOutlet } from "./revocations.ts";

/** Who is connected where. */
export interface Directory {
  /** @returns node → connections of the user there @throws {RequestError} backplane_unavailable */
  connectionsOf(user: string): Promise<ReadonlyMap<string, number>>;
}

/** How long a node may be away and still end the connections that it was told to end meanwhile. */
const KEEP_MS = 600_000;

/** → 200 `{"user","connections","nodes":{"<node>":<connections>}}` */
export async function connections(request: Request, caller: Caller, directory: Directory): Promise<Answer> {
  await caller.identifyAdmin(request, "connections");
  const user = userOf(request);
  const nodes = await directory.connectionsOf(user);
  const total = [...nodes.values()].reduce((sum, count) => sum + count, 0);
  return json(200, { user, connections: total, nodes: Object.fromEntries(nodes) });
}

/** Ends them, on every node → 204 when every node was told. The user may come back: that is `revoke`'s to prevent. */
export async function disconnect(
  request: Request,
  caller: Caller,
  outlet: RevocationOutlet,
): Promise<Answer> {
  const { user } = await caller.identifyAdmin(request, "connections");
  const now = Date.now();
  await outlet.revoke({ sub: userOf(request), openedBefore: now + 1 }, now + KEEP_MS, user);
  return NO_CONTENT;
}

function userOf({ params: [user] }: Request): string {
  if (isName(user)) return user;
  throw new RequestError("bad_frame", `a user is ${NAME_RULE}`);
}
