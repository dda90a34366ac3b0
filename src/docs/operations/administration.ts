import { ChannelsAnswer, ConnectionsAnswer, ExplainAnswer, RevocationBody } from "../../schema/http.ts";
import { ChannelsParameters, ExplainParameters } from "../../schema/parameters.ts";
import { BODY, JSON_TYPE, type Operation, queries, TOKEN, userInPath } from "./operation.ts";

export const ADMINISTRATION: readonly Operation[] = [
  {
    id: "explain",
    method: "get",
    path: "/v1/explain",
    group: "access",
    summary: "See whether your token allows something, and why",
    description: "Of the token that the request comes with.",
    parameters: queries(ExplainParameters),
    answers: [{ status: 200, description: "Whether, and why.", content: { [JSON_TYPE]: ExplainAnswer } }],
    errors: [...TOKEN, "bad_frame", "bad_channel"],
    token: "required",
  },
  {
    id: "listChannels",
    method: "get",
    path: "/v1/channels",
    group: "administration",
    summary: "List the channels that somebody is subscribed to",
    description: "By name, on all nodes. Needs the admin grant `channels`.",
    parameters: queries(ChannelsParameters),
    answers: [{ status: 200, description: "A page of them.", content: { [JSON_TYPE]: ChannelsAnswer } }],
    errors: [...TOKEN, "bad_channel", "bad_limit", "forbidden", "backplane_unavailable"],
    token: "required",
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
    token: "required",
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
    token: "required",
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
    token: "required",
  },
];
