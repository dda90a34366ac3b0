import { Type } from "typebox";
import type { Code } from "../../protocol/codes.ts";
import { as, eventId, last } from "../../schema/fields.ts";
import { ForgetAnswer, HistoryAnswer } from "../../schema/http.ts";
import { HistoryParameters, StreamParameters } from "../../schema/parameters.ts";
import { Stream } from "../../schema/stream.ts";
import { channelInPath, JSON_TYPE, type Operation, queries, streaming, TOKEN } from "./operation.ts";

const lastEventId = as(
  eventId,
  "Of a stream: where it goes on, the `id` of the last block that you have. A browser sends it by itself when it comes back.",
);
/** Also where a WebSocket goes on. */
export const cursor = Type.String({
  title: "Cursor",
  description:
    "The `id` of the last block that you have, of a stream of these channels in this order: it goes on from there. A browser sends it by itself when it comes back.",
  "x-error": "bad_since",
});

const stream = { "text/event-stream": Stream };

/** What an `EventSource` comes back after. */
const NOT_NOW: readonly Code[] = [
  "over_capacity",
  "handshake_rate",
  "too_many_connections",
  "shutting_down",
  "auth_unavailable",
  "backplane_unavailable",
  "slow",
];
const STREAMS =
  "What is temporary is told by a block `$error` in a stream with the status 200 that ends, since an `EventSource` comes back after no other status. Read it with an `EventSource` or a reader of streams: what generated clients make of it waits for its end.";
const stopped = {
  status: 204,
  description:
    "Do not come back: `Last-Event-ID` is `stop`, that of a stream which was ended for good, as an `EventSource` sends it that nobody closed.",
};

export const EVENTS: readonly Operation[] = [
  {
    id: "readEvents",
    method: "get",
    path: "/v1/channels/{channel}/events",
    group: "events",
    summary: "Read what a channel keeps, or follow it",
    description: `A page of the history: the events behind \`since\`, or the last ones before \`before\`, or the newest; who gives both gets \`bad_frame\`. Needs the grant \`history\`. With \`Accept: text/event-stream\`, and without \`application/json\` beside it, a stream of the channel's events, which has the parameters \`last_event_id\` and \`last\`; needs the grant \`subscribe\`. ${STREAMS}`,
    parameters: [
      channelInPath,
      ...queries(HistoryParameters),
      ...streaming(
        lastEventId,
        as(last, "Of a stream without `Last-Event-ID`: begins with so many of the last events."),
      ),
    ],
    answers: [
      {
        status: 200,
        description: "The page, or the stream.",
        content: { [JSON_TYPE]: HistoryAnswer, ...stream },
        within: NOT_NOW,
      },
      stopped,
    ],
    errors: [
      ...TOKEN,
      "disconnected",
      "bad_channel",
      "bad_since",
      "bad_limit",
      "bad_frame",
      "forbidden",
      "history_gone",
      "not_supported",
      "backplane_unavailable",
    ],
    token: "required",
  },
  {
    id: "follow",
    method: "get",
    path: "/v1/events",
    group: "events",
    summary: "Follow many channels in one stream",
    description: `Server-sent events: \`event:\` is the event's type, \`data:\` the whole event, \`id:\` a cursor over all channels. Up to 100 channels; each needs the grant \`subscribe\`. ${STREAMS}`,
    parameters: [
      ...queries(StreamParameters),
      ...streaming(
        cursor,
        as(
          last,
          "Of a stream without `Last-Event-ID`: begins with so many of the last events of each channel; times the channels 1,000 at most.",
        ),
      ),
    ],
    answers: [{ status: 200, description: "The stream.", content: stream, within: NOT_NOW }, stopped],
    errors: [
      ...TOKEN.filter((code) => code !== "auth_unavailable"),
      "disconnected",
      "bad_frame",
      "bad_channel",
      "bad_since",
      "bad_limit",
      "forbidden",
      "too_many_channels",
    ],
    token: "required",
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
    token: "required",
  },
];
