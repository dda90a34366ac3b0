import type { Grant } from "../auth/grants.ts";
import type { Identity } from "../auth/identity.ts";
import type { History } from "../session/history.ts";
import type { Presence } from "../session/presence.ts";
import type { Route } from "../transport/http/http.ts";
import { type Sse, wantsStream } from "../transport/sse/sse.ts";
import { type BatchOptions, batch, MAX_BATCH_BYTES } from "./batch.ts";
import { Caller } from "./caller.ts";
import { type Channels, channels, forget } from "./channels.ts";
import { history, publish } from "./events.ts";
import { explain } from "./explain.ts";
import { channelIn } from "./path.ts";
import { presence } from "./presence.ts";
import { type RevocationOutlet, revoke } from "./revocations.ts";
import { connections, type Directory, disconnect } from "./users.ts";

export interface ApiOptions extends BatchOptions {
  readonly history: History;
  /** Undefined: no channel has any. */
  readonly presence: Presence | undefined;
  readonly sse: Sse;
  readonly channels: Channels;
  readonly directory: Directory;
  readonly revocations: RevocationOutlet;
  readonly rules: readonly Grant[];
  readonly cookieName: string | undefined;
  /** How long a revocation counts for which nobody said how long. */
  readonly revocationMs: number;
  verify(token: string): Identity | Promise<Identity>;
}

/** What backends call. */
export function apiRoutes(options: ApiOptions): Route[] {
  const { publisher, directory, revocations, rules, revocationMs } = options;
  const caller = new Caller(options.cookieName, options.verify);
  return [
    {
      method: "post",
      path: "/v1/channels/:channel/events",
      handle: (request) => publish(request, caller, publisher, options.jsonLimits),
    },
    {
      method: "get",
      path: "/v1/channels/:channel/events",
      handle: (request) =>
        wantsStream(request.head)
          ? options.sse.ofChannel(request, channelIn(request))
          : history(request, caller, options.history),
    },
    {
      method: "del",
      path: "/v1/channels/:channel/events",
      handle: (request) => forget(request, caller, options.channels),
    },
    { method: "get", path: "/v1/channels", handle: (request) => channels(request, caller, options.channels) },
    {
      method: "post",
      path: "/v1/batch",
      maxBodyBytes: MAX_BATCH_BYTES,
      handle: (request) => batch(request, caller, options),
    },
    { method: "get", path: "/v1/events", handle: (request) => options.sse.ofMany(request) },
    {
      method: "get",
      path: "/v1/channels/:channel/presence",
      handle: (request) => presence(request, caller, options.presence),
    },
    { method: "get", path: "/v1/explain", handle: (request) => explain(request, caller, rules) },
    {
      method: "get",
      path: "/v1/users/:user/connections",
      handle: (request) => connections(request, caller, directory),
    },
    {
      method: "del",
      path: "/v1/users/:user/connections",
      handle: (request) => disconnect(request, caller, revocations),
    },
    {
      method: "post",
      path: "/v1/revocations",
      handle: (request) => revoke(request, caller, revocations, revocationMs),
    },
  ];
}
