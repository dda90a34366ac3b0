import type { Transport, VerifyOptions } from "./options.ts";

/** What a client follows, and how. */
export interface Plan {
  readonly transport: Transport;
  /** By number. */
  readonly channels: readonly number[];
}

/**
 * What each client follows. Not in step with the channels, so that each channel is followed in every way; and every other
 * event stream is of one channel alone, which is another kind, with other ids.
 */
export function plansFor(
  { clients, channels, channelsPerClient }: Pick<VerifyOptions, "clients" | "channels" | "channelsPerClient">,
  transports: readonly Transport[],
): Plan[] {
  let streams = 0;
  return Array.from({ length: clients }, (_, number) => {
    const round = Math.floor(number / channels);
    const transport = transports[(number + round) % transports.length] as Transport;
    const isNarrow = transport === "sse" && ++streams % 2 === 0;
    const width = isNarrow ? 1 : Math.min(channels, channelsPerClient);
    return { transport, channels: Array.from({ length: width }, (_, i) => (number + i) % channels) };
  });
}
