import type { Code } from "../../protocol/codes.ts";
import type { COMMANDS } from "../../schema/commands.ts";
import type { FRAMES } from "../../schema/frames.ts";

export type CommandName = keyof typeof COMMANDS;
export type FrameName = keyof typeof FRAMES;

/** What may follow a command: its reply, or an error with one of these codes. */
interface Exchange {
  readonly reply: FrameName;
  readonly errors: readonly Code[];
}

/** Of any command. */
const ALWAYS: readonly Code[] = ["bad_frame", "too_complex", "auth_required", "command_rate", "internal"];
const REACHING: readonly Code[] = ["bad_channel", "forbidden", "backplane_unavailable"];

const publish: Exchange = {
  reply: "published",
  errors: [...ALWAYS, ...REACHING, "bad_event", "bad_key", "reserved_channel", "key_reused"],
};
const subscribe: Exchange = {
  reply: "subscribed",
  errors: [...ALWAYS, ...REACHING, "bad_since", "bad_limit", "too_many_channels"],
};

/** What each command is answered with. */
export const EXCHANGES: Readonly<Record<CommandName, Exchange>> = {
  auth: {
    reply: "authenticated",
    errors: [
      "bad_frame",
      "too_complex",
      "command_rate",
      "token_invalid",
      "token_expired",
      "token_revoked",
      "auth_unavailable",
      "user_mismatch",
      "too_many_connections",
      "internal",
    ],
  },
  subscribe,
  subscribeMany: subscribe,
  unsubscribe: { reply: "unsubscribed", errors: [...ALWAYS, "bad_channel"] },
  publish,
  publishShort: publish,
  publishBinary: publish,
  message: { ...publish, errors: [...publish.errors, "channel_required"] },
  history: {
    reply: "historyPage",
    errors: [...ALWAYS, ...REACHING, "bad_since", "bad_limit", "history_gone", "not_supported"],
  },
  presence: {
    reply: "presencePage",
    errors: [...ALWAYS, ...REACHING, "bad_limit", "not_supported"],
  },
  ping: { reply: "pong", errors: ["bad_frame", "too_complex", "command_rate"] },
};

/** What `FCALL tidegate_publish` may be refused with, as an error of Redis. */
export const FUNCTION_ERRORS: readonly Code[] = [
  "bad_channel",
  "reserved_channel",
  "bad_event",
  "bad_key",
  "key_reused",
  "too_big",
];
