import { PresenceAnswer } from "../../schema/http.ts";
import { MembersParameters } from "../../schema/parameters.ts";
import { channelInPath, JSON_TYPE, type Operation, queries, TOKEN } from "./operation.ts";

export const PRESENCE: readonly Operation[] = [
  {
    id: "readPresence",
    method: "get",
    path: "/v1/channels/{channel}/presence",
    group: "presence",
    summary: "See who is in a channel",
    description: "Of a channel of TIDEGATE_PRESENCE. Needs the grant `presence`.",
    parameters: [channelInPath, ...queries(MembersParameters)],
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
    token: "required",
  },
];
