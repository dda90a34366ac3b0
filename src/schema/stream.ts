import { Type } from "typebox";
import { as, channel, code, eventId, message, temporary } from "./fields.ts";
import { Closing, closeCode, closeReason, EXAMPLE_WELCOME, lossReason, welcomeFields } from "./frames.ts";

/* What the `data` of an event stream's blocks is, by the block's `event`. Events themselves are frames.ts's. */

const Welcome = Type.Object(
  { type: Type.Literal("welcome", { description: "As the frame." }), ...welcomeFields },
  {
    title: "WelcomeBlock",
    description: "`event: $welcome`. Of every stream, before its first event.",
    examples: [EXAMPLE_WELCOME],
  },
);

const Lost = Type.Object(
  {
    channel,
    id: Type.Optional(as(eventId, "From where the channel goes on. Missing when it keeps no history.")),
    reason: lossReason,
  },
  {
    title: "LostBlock",
    description: "`event: $lost`. Events may be missing on the channel: reload your state.",
    examples: [{ channel: "chat-123", id: "c21c64feb45ad04b-5e6d1f00:0", reason: "forked" }],
  },
);

const Ended = Type.Object(
  {
    type: Type.Literal("closing", { description: "As the frame." }),
    code: closeCode,
    reason: closeReason,
    temporary,
  },
  {
    title: "EndedBlock",
    description:
      "`event: $closing`. The stream ends here: come back unless the code is 4500 or more. Such a block has `id: stop`, which is no place to go on from: an `EventSource` that nobody closed comes back with it, and is answered 204, which ends that.",
    examples: [{ type: "closing", code: 4401, reason: "token_expired", temporary: false }],
  },
);

const NotNow = Type.Object(
  {
    type: Type.Literal("error", { description: "As the frame." }),
    code,
    message,
    channel: Type.Optional(channel),
    temporary,
  },
  {
    title: "ErrorBlock",
    description:
      "`event: $error`. What was asked for cannot be had now: the stream ends, and `retry:` says when to come back. An `EventSource` comes back after a status 200 only, so this is no 429 and no 503.",
    examples: [
      {
        type: "error",
        code: "over_capacity",
        message: "This node has as many connections as it may hold",
        temporary: true,
      },
    ],
  },
);

/** Every block of the gateway's own, by its `event`. */
export const BLOCKS = {
  $welcome: Welcome,
  $lost: Lost,
  $closing: Type.Union([Closing, Ended]),
  $error: NotNow,
} as const;

/** A whole stream, as text. */
export const Stream = Type.String({
  title: "EventStream",
  description:
    "Blocks of server-sent events (HTML, 9.2.6). The first one has only `retry:` and the `id:` at which the stream begins, the second is `$welcome`; then each event is a block whose `event:` is its type, a block with `id:` alone is an event that this connection asked not to hear (`except`), and comments say that the stream lives.",
  examples: [
    'retry: 1834\nid: 43604441b0107ade-6b043420:42\n\nevent: $welcome\ndata: {"type":"welcome","connection":"kJ3xmA0qT9w2Lc7e","node":"node1","user":"ann","expires_in":3599000,"heartbeat":30000}\n\nevent: message\nid: 43604441b0107ade-7c1d0a42:43\ndata: {"text":"hi"}\n\n',
  ],
});
