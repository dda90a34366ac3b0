import { Type } from "typebox";
import type { Code } from "../../protocol/codes.ts";
import { key } from "../../schema/fields.ts";
import { BatchAnswer, BatchBody, PublishAnswer, PublishBody } from "../../schema/http.ts";
import { BODY, channelInPath, JSON_TYPE, type Operation, TOKEN } from "./operation.ts";

/** Of one event. */
const EVENT: readonly Code[] = [
  "bad_channel",
  "bad_key",
  "bad_event",
  "forbidden",
  "reserved_channel",
  "key_reused",
  "backplane_unavailable",
];

export const PUBLISHING: readonly Operation[] = [
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
    errors: [...TOKEN, ...BODY, ...EVENT],
    token: "required",
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
        description:
          "Some were refused: see each result. There is no `Retry-After` for those that are temporary; send them again after a second.",
        content: { [JSON_TYPE]: BatchAnswer },
        within: [...EVENT, "too_big", "too_complex"],
      },
    ],
    errors: [...TOKEN, ...BODY],
    token: "required",
  },
];
