/** The grammar of channel names. */
export const CHANNEL_NAME = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$/;

/** Whether `name` is a channel name: ASCII only, so that no two spellings look alike and no pattern fits in. */
export function isChannel(name: unknown): name is string {
  return typeof name === "string" && CHANNEL_NAME.test(name);
}

/** Channels that the gateway publishes to itself; nobody outside may, whatever their grants say. */
export function isReservedChannel(name: string): boolean {
  return name.startsWith("job:") || name.startsWith("$");
}

/** A channel name, or a beginning followed by `*`; `*` alone is every channel. */
export function isChannelPattern(pattern: string): boolean {
  if (!pattern.endsWith("*")) return isChannel(pattern);
  const beginning = pattern.slice(0, -1);
  return beginning === "" || isChannel(beginning);
}

/** Whether a channel is the one that a pattern names, or one of those. */
export function matches(pattern: string, channel: string): boolean {
  return pattern.endsWith("*") ? channel.startsWith(pattern.slice(0, -1)) : channel === pattern;
}
