/** Somebody who is in a channel. */
export interface Member {
  readonly user: string;
  /** The claim `info` of the token, as JSON text in one line. */
  readonly info: string | undefined;
}

/** Part of a channel's members, in the order of their names. */
export interface Members {
  /** How many there are in all. */
  readonly count: number;
  readonly members: readonly Member[];
}

/** Whether a user is in a channel on one node. */
export interface Attendance extends Member {
  readonly channel: string;
  readonly here: boolean;
}

/** The payload of a `$join` or `$leave`, or one of a list of members. */
export function memberJson({ user, info }: Member): string {
  return `{"user":${JSON.stringify(user)}${info === undefined ? "" : `,"info":${info}`}}`;
}
