const NAME = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$/;

/** Whether `name` is a channel name: ASCII only, so that no two spellings look alike and no pattern fits in. */
export function isChannel(name: unknown): name is string {
  return typeof name === "string" && NAME.test(name);
}

/** Channels that the gateway publishes to itself; nobody outside may, whatever their grants say. */
export function isReservedChannel(name: string): boolean {
  return name.startsWith("job:") || name.startsWith("$");
}
