import type { TSchema } from "typebox";
import { Type } from "typebox";
import { ACTIONS } from "../auth/grants.ts";
import type { Code } from "../protocol/codes.ts";
import { after, as, before, channel, eventId, key, last, limit, since, user } from "../schema/fields.ts";
import {
  BatchAnswer,
  BatchBody,
  ChannelsAnswer,
  ConnectionsAnswer,
  ExplainAnswer,
  ForgetAnswer,
  HistoryAnswer,
  PresenceAnswer,
  PublishAnswer,
  PublishBody,
  RevocationBody,
} from "../schema/http.ts";
import { Stream } from "../schema/stream.ts";

/** What the API offers: one table, from which the OpenAPI document and its tests are made. */
export interface Operation {
  /** Its name, for those who generate clients. */
  readonly id: string;
  readonly method: "get" | "post" | "delete";
  /** As in OpenAPI: `{channel}`. */
  readonly path: string;
  readonly group: Group;
  readonly summary: string;
  readonly description: string;
  readonly parameters: readonly Parameter[];
  readonly body?: TSchema;
  readonly answers: readonly OperationAnswer[];
  /** Every code of its problems but `internal`, and those of requests that are none of any operation. */
  readonly errors: readonly Code[];
  /** False: for everybody. */
  readonly token: boolean;
}

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly schema: TSchema;
  readonly required?: boolean;
  /** May be given many times: the schema is of each. */
  readonly repeated?: boolean;
}

export interface OperationAnswer {
  readonly status: number;
  readonly description: string;
  /** By media type; none: no body. */
  readonly content?: Readonly<Record<string, TSchema>>;
}

export const GROUPS = {
  events: "Publishing, reading and following events.",
  presence: "Who is there.",
  administration: "What concerns others. Needs the claim `admin` in the token.",
  connecting: "The way to a WebSocket.",
  documents: "What describes all this. Public.",
} as const;
export type Group = keyof typeof GROUPS;

const JSON_TYPE = "application/json";

const TOKEN: readonly Code[] = [
  "origin_not_allowed",
  "token_missing",
  "token_invalid",
  "token_expired",
  "token_revoked",
  "auth_unavailable",
];
const BODY: readonly Code[] = ["unsupported_media_type", "too_big", "bad_frame", "too_complex"];

const channelInPath: Parameter = { name: "channel", in: "path", schema: channel, required: true };
const userInPath: Parameter = { name: "user", in: "path", schema: user, required: true };
const query = (name: string, schema: TSchema): Parameter => ({ name, in: "query", schema });

const lastEventId = as(
  eventId,
  "Of a stream: where it goes on, the `id` of the last block that you have. A browser sends it by itself when it comes back.",
);
const cursor = Type.String({
  title: "Cursor",
  description:
    "The `id` of the last block that you have, of a stream of these channels in this order: it goes on from there. A browser sends it by itself when it comes back.",
  "x-error": "bad_since",
});

/** Of a request that asks for a stream. */
const streaming = (position: TSchema): readonly Parameter[] => [
  { name: "Last-Event-ID", in: "header", schema: position },
  query("last_event_id", as(position, "As `Last-Event-ID`, for who cannot set a header.")),
  query("last", as(last, "Of a stream without `Last-Event-ID`: begins with so many of the last events.")),
];

const stream = { "text/event-stream": Stream };
const TEMPORARY_IN_STREAM =
  "What is temporary (`over_capacity`, `handshake_rate`, `too_many_connections`, `shutting_down`, `auth_unavailable`, `backplane_unavailable`) is told by a block `$error` in a stream with the status 200 that ends, since an `EventSource` comes back after no other status.";

export const OPERATIONS: readonly Operation[] = [
  {
    id: "publish",
    method: "post",
    path: "/v1/channels/{channel}/events",
    group: "events",
    summary: "Publish an event",
    description: "Needs the grant `publish`, and `publish_as` for another `sender`.",
    parameters: [
      channelInPath,
      { name: "Idempotency-Key", in: "header", schema: key },
      {
        name: "traceparent",
        in: "header",
        schema: Type.String({
          description:
            "Where the event belongs in your trace (W3C Trace Context): comes out with the event. One that is malformed is ignored.",
        }),
      },
    ],
    body: PublishBody,
    answers: [{ status: 201, description: "It was published.", content: { [JSON_TYPE]: PublishAnswer } }],
    errors: [
      ...TOKEN,
      ...BODY,
      "bad_channel",
      "bad_key",
      "bad_event",
      "forbidden",
      "reserved_channel",
      "key_reused",
      "backplane_unavailable",
    ],
    token: true,
  },
  {
    id: "readEvents",
    method: "get",
    path: "/v1/channels/{channel}/events",
    group: "events",
    summary: "Read what a channel keeps, or follow it",
    description: `Without \`Accept: text/event-stream\` a page of the history: the events behind \`since\`, or the last ones before \`before\`, or the newest. Needs the grant \`history\`. With it a stream of the channel's events, which has the parameters \`last_event_id\` and \`last\`; needs the grant \`subscribe\`. ${TEMPORARY_IN_STREAM}`,
    parameters: [
      channelInPath,
      query("since", since),
      query("before", before),
      query("limit", limit),
      ...streaming(lastEventId),
    ],
    answers: [
      {
        status: 200,
        description: "The page, or the stream.",
        content: { [JSON_TYPE]: HistoryAnswer, ...stream },
      },
    ],
    errors: [
      ...TOKEN,
      "bad_channel",
      "bad_since",
      "bad_limit",
      "bad_frame",
      "forbidden",
      "history_gone",
      "not_supported",
      "backplane_unavailable",
    ],
    token: true,
  },
  {
    id: "forgetEvents",
    method: "delete",
    path: "/v1/channels/{channel}/events",
    group: "administration",
    summary: "Forget the history of a channel",
    description: "Whoever is subscribed is told `history_lost`. Needs the admin grant `channels`.",
    parameters: [channelInPath],
    answers: [{ status: 200, description: "The history is gone.", content: { [JSON_TYPE]: ForgetAnswer } }],
    errors: [...TOKEN, "bad_channel", "forbidden", "not_supported", "backplane_unavailable"],
    token: true,
  },
  {
    id: "publishMany",
    method: "post",
    path: "/v1/batch",
    group: "events",
    summary: "Publish many events",
    description:
      "Each on its own: one that is refused has a problem in its place, the others are published. The body has a megabyte (1 MiB) at most.",
    parameters: [],
    body: BatchBody,
    answers: [
      { status: 201, description: "All were published.", content: { [JSON_TYPE]: BatchAnswer } },
      {
        status: 207,
        description: "Some were refused: see each result.",
        content: { [JSON_TYPE]: BatchAnswer },
      },
    ],
    errors: [...TOKEN, ...BODY],
    token: true,
  },
  {
    id: "follow",
    method: "get",
    path: "/v1/events",
    group: "events",
    summary: "Follow many channels in one stream",
    description: `Server-sent events: \`event:\` is the event's type, \`data:\` the whole event, \`id:\` a cursor over all channels. Up to 100 channels; each needs the grant \`subscribe\`. ${TEMPORARY_IN_STREAM}`,
    parameters: [
      { name: "channel", in: "query", schema: channel, required: true, repeated: true },
      ...streaming(cursor),
    ],
    answers: [{ status: 200, description: "The stream.", content: stream }],
    errors: [
      ...TOKEN.filter((code) => code !== "auth_unavailable"),
      "bad_frame",
      "bad_channel",
      "bad_since",
      "bad_limit",
      "forbidden",
      "too_many_channels",
    ],
    token: true,
  },
  {
    id: "readPresence",
    method: "get",
    path: "/v1/channels/{channel}/presence",
    group: "presence",
    summary: "See who is in a channel",
    description: "Of a channel of TIDEGATE_PRESENCE. Needs the grant `presence`.",
    parameters: [channelInPath, query("after", after), query("limit", limit)],
    answers: [{ status: 200, description: "A page of them.", content: { [JSON_TYPE]: PresenceAnswer } }],
    errors: [
      ...TOKEN,
      "bad_channel",
      "bad_limit",
      "bad_frame",
      "forbidden",
      "not_supported",
      "backplane_unavailable",
    ],
    token: true,
  },
  {
    id: "explain",
    method: "get",
    path: "/v1/explain",
    group: "presence",
    summary: "See whether your token allows something, and why",
    description: "Of the token that the request comes with.",
    parameters: [
      {
        name: "action",
        in: "query",
        required: true,
        schema: Type.Enum([...ACTIONS], {
          description: "What is to be done.",
          "x-error": "bad_frame",
          "x-rule": `query \`action\` is one of ${ACTIONS.join(", ")}`,
        }),
      },
      { name: "channel", in: "query", schema: channel, required: true },
    ],
    answers: [{ status: 200, description: "Whether, and why.", content: { [JSON_TYPE]: ExplainAnswer } }],
    errors: [...TOKEN, "bad_frame", "bad_channel"],
    token: true,
  },
  {
    id: "listChannels",
    method: "get",
    path: "/v1/channels",
    group: "administration",
    summary: "List the channels that somebody is subscribed to",
    description: "By name, on all nodes. Needs the admin grant `channels`.",
    parameters: [
      query("after", as(channel, "Those whose names come behind. The `next` of the page before.")),
      query("prefix", as(channel, "Those whose names begin so.")),
      query("limit", as(limit, "At most so many.")),
    ],
    answers: [{ status: 200, description: "A page of them.", content: { [JSON_TYPE]: ChannelsAnswer } }],
    errors: [...TOKEN, "bad_channel", "bad_limit", "forbidden", "backplane_unavailable"],
    token: true,
  },
  {
    id: "readConnections",
    method: "get",
    path: "/v1/users/{user}/connections",
    group: "administration",
    summary: "See where a user is connected",
    description: "Needs the admin grant `connections`.",
    parameters: [userInPath],
    answers: [
      { status: 200, description: "How often, and where.", content: { [JSON_TYPE]: ConnectionsAnswer } },
    ],
    errors: [...TOKEN, "bad_frame", "forbidden", "backplane_unavailable"],
    token: true,
  },
  {
    id: "disconnect",
    method: "delete",
    path: "/v1/users/{user}/connections",
    group: "administration",
    summary: "End the connections of a user",
    description:
      "On every node, within two seconds (close code 4504). The token stays good: the user may come back. Needs the admin grant `connections`.",
    parameters: [userInPath],
    answers: [{ status: 204, description: "Every node was told." }],
    errors: [...TOKEN, "bad_frame", "forbidden", "too_many_revocations", "backplane_unavailable"],
    token: true,
  },
  {
    id: "revoke",
    method: "post",
    path: "/v1/revocations",
    group: "administration",
    summary: "Revoke a token, or all of a user",
    description:
      "On every node, within two seconds; connections that used one are ended (close code 4503). It cannot be taken back. Needs the admin grant `revoke`.",
    parameters: [],
    body: RevocationBody,
    answers: [{ status: 204, description: "Every node was told." }],
    errors: [...TOKEN, ...BODY, "forbidden", "too_many_revocations", "backplane_unavailable"],
    token: true,
  },
  {
    id: "connect",
    method: "get",
    path: "/ws",
    group: "connecting",
    summary: "Open a WebSocket, or ask why it would be refused",
    description:
      "RFC 6455, version 13. What is said over it is in the AsyncAPI document. Without `Upgrade` the same checks run, and 426 says that the handshake would have been accepted. The subprotocols are `tidegate.v1` (JSON, also when none is offered) and `tidegate.v1.binary`; `bearer.<token>` beside them carries the token. Without a token the first frame is `auth`.",
    parameters: [
      {
        name: "channel",
        in: "query",
        schema: as(channel, "Subscribes at once. Answered by `subscribed` or `error`."),
        repeated: true,
      },
      query(
        "cursor",
        as(cursor, "Of an event stream of these channels in this order: they go on from there."),
      ),
      query(
        "fresh",
        Type.Literal("1", { description: "The balancer chooses a node anew, whatever its cookie says." }),
      ),
    ],
    answers: [{ status: 101, description: "The connection is a WebSocket now." }],
    errors: [
      ...TOKEN.filter((code) => code !== "token_missing"),
      "bad_handshake",
      "bad_since",
      "bad_subprotocol",
      "upgrade_required",
      "handshake_rate",
      "too_many_connections",
      "over_capacity",
    ],
    token: false,
  },
  ...(
    [
      ["openapi", "/openapi.json", "This document", JSON_TYPE],
      ["asyncapi", "/asyncapi.json", "The AsyncAPI document of frames and streams", JSON_TYPE],
      ["docs", "/docs", "Both documents and every code as one page, for people", "text/html"],
    ] as const
  ).map(
    ([id, path, summary, type]): Operation => ({
      id,
      method: "get",
      path,
      group: "documents",
      summary,
      description: "Loads nothing from elsewhere, and holds no secret.",
      parameters: [],
      answers: [
        {
          status: 200,
          description: "The document.",
          content: {
            [type]:
              type === JSON_TYPE
                ? Type.Object({}, { description: "The document." })
                : Type.String({ description: "The page." }),
          },
        },
      ],
      errors: ["origin_not_allowed"],
      token: false,
    }),
  ),
];
