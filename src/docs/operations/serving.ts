import { Type } from "typebox";
import { as, channel } from "../../schema/fields.ts";
import { cursor } from "./events.ts";
import { JSON_TYPE, type Operation, query, TOKEN } from "./operation.ts";

/** What is no part of the API, but served beside it. */
export const SERVING: readonly Operation[] = [
  {
    id: "connect",
    method: "get",
    path: "/ws",
    group: "connecting",
    summary: "Open a WebSocket, or ask why it would be refused",
    description:
      "RFC 6455, version 13. What is said over it is in the AsyncAPI document. Without `Upgrade` the same checks run, and 426 says that the handshake would have been accepted. The subprotocols are `tidegate.v1` (JSON, also when none is offered) and `tidegate.v1.binary`; `bearer.<token>` beside them carries the token. Without a token the first frame is `auth`.",
    parameters: [
      query(
        "channel",
        Type.Array(channel, {
          description: "Subscribes to each at once. Answered by `subscribed` or `error`.",
        }),
      ),
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
      "shutting_down",
    ],
    token: "optional",
  },
  document("openapi", "/openapi.json", "This document", JSON_TYPE),
  document("asyncapi", "/asyncapi.json", "The AsyncAPI document of frames and streams", JSON_TYPE),
  document("docs", "/docs", "Both documents and every code as one page, for people", "text/html"),
];

function document(id: string, path: string, summary: string, type: string): Operation {
  const schema =
    type === JSON_TYPE
      ? Type.Object({}, { description: "The document." })
      : Type.String({ description: "The page." });
  return {
    id,
    method: "get",
    path,
    group: "documents",
    summary,
    description: "Loads nothing from elsewhere, and holds no secret.",
    parameters: [
      {
        name: "If-None-Match",
        in: "header",
        schema: Type.String({ description: "The `ETag` of the one that you have." }),
      },
    ],
    answers: [
      { status: 200, description: "The document, with an `ETag`.", content: { [type]: schema } },
      { status: 304, description: "It is as you have it." },
    ],
    errors: ["origin_not_allowed"],
    token: "none",
  };
}
