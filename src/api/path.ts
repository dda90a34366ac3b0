import { isChannel } from "../protocol/channel.ts";
import { RequestError } from "../protocol/codes.ts";
import type { Request } from "../transport/http/http.ts";

/** The channel in the path. @throws {RequestError} bad_channel */
export function channelIn({ params: [channel] }: Request): string {
  if (!isChannel(channel)) throw new RequestError("bad_channel");
  return channel;
}
