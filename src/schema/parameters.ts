import { Type } from "typebox";
import { ACTIONS } from "../auth/grants.ts";
import { MAX_CHANNELS_PER_STREAM } from "../protocol/commands.ts";
import { after, as, before, channel, exclusive, last, limit, since } from "./fields.ts";

/* Which part of something is wanted: fields of frames, and the queries of URLs. */

/** Where a subscription begins. */
export const StartParameters = Type.Object(
  { since: Type.Optional(since), last: Type.Optional(last) },
  exclusive("since", "last"),
);

export const HistoryParameters = Type.Object(
  { since: Type.Optional(since), before: Type.Optional(before), limit: Type.Optional(limit) },
  exclusive("since", "before"),
);

export const MembersParameters = Type.Object({ after: Type.Optional(after), limit: Type.Optional(limit) });

export const ChannelsParameters = Type.Object({
  after: Type.Optional(as(channel, "Those whose names come behind. The `next` of the page before.")),
  prefix: Type.Optional(as(channel, "Those whose names begin so.")),
  limit: Type.Optional(as(limit, "At most so many.")),
});

/** Of a stream of many channels. */
export const StreamParameters = Type.Object({
  channel: Type.Array(channel, {
    minItems: 1,
    maxItems: MAX_CHANNELS_PER_STREAM,
    description: "What is to be followed, each once.",
    "x-error": "bad_frame",
    "x-rule": `query \`channel\`: 1 to ${MAX_CHANNELS_PER_STREAM} channels`,
  }),
  previous_channel: Type.Optional(
    Type.Array(channel, {
      maxItems: MAX_CHANNELS_PER_STREAM,
      description:
        "`last_event_id` is that of a stream of these channels, in their order: goes on in those that are in both.",
      "x-error": "bad_frame",
      "x-rule": `query \`previous_channel\`: up to ${MAX_CHANNELS_PER_STREAM} channels`,
    }),
  ),
});

export const ExplainParameters = Type.Object({
  action: Type.Enum([...ACTIONS], {
    type: "string",
    description: "What is to be done.",
    "x-error": "bad_frame",
    "x-rule": `query \`action\` is one of ${ACTIONS.join(", ")}`,
  }),
  channel,
});
