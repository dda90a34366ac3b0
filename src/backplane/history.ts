import { isChannelPattern, matches } from "../protocol/channel.ts";
import { isObject } from "../protocol/json.ts";

/** What channels whose name matches keep. */
export interface HistoryRule {
  /** A channel name, or a beginning followed by `*`. */
  readonly pattern: string;
  /** Events; 0: none. */
  readonly size: number;
  readonly timeMs: number;
}

/** Of one channel, in events. */
export const MAX_HISTORY_SIZE = 100_000;
export const MAX_HISTORY_RULES = 100;

/**
 * `{"chat-*":{"size":500,"time":"10m"},"secret-*":"off"}`, the most specific pattern first.
 * @param duration reads a duration as milliseconds
 * @throws {Error} naming the rule
 */
export function parseHistory(value: unknown, duration: (text: string) => number): HistoryRule[] {
  if (!isObject(value) || Object.keys(value).length > MAX_HISTORY_RULES)
    throw new Error(
      `it is an object of up to ${MAX_HISTORY_RULES} channel patterns, like {"*":{"size":1000,"time":"10m"},"secret-*":"off"}`,
    );
  const rules = Object.entries(value).map(([pattern, rule]) => {
    if (!isChannelPattern(pattern))
      throw new Error(`"${pattern.slice(0, 200)}" is not a channel pattern (at most one *, at the end)`);
    return { pattern, ...parseRule(pattern, rule, duration) };
  });
  return rules.sort((a, b) => specificity(b.pattern) - specificity(a.pattern));
}

function parseRule(
  pattern: string,
  rule: unknown,
  duration: (text: string) => number,
): { size: number; timeMs: number } {
  if (rule === "off") return { size: 0, timeMs: 0 };
  if (!isObject(rule) || Object.keys(rule).some((key) => key !== "size" && key !== "time"))
    throw new Error(`"${pattern}" is "off" or {"size":…,"time":"…"}`);
  const { size, time } = rule;
  if (!Number.isSafeInteger(size) || (size as number) < 1 || (size as number) > MAX_HISTORY_SIZE)
    throw new Error(`the size of "${pattern}" is a number of events from 1 to ${MAX_HISTORY_SIZE}`);
  if (typeof time !== "string") throw new Error(`the time of "${pattern}" is a duration like "10m"`);
  return { size: size as number, timeMs: duration(time) };
}

/** A whole name before any beginning, a long beginning before a short one. */
function specificity(pattern: string): number {
  return pattern.endsWith("*") ? pattern.length - 1 : 1_000;
}

/** What a channel keeps; undefined: nothing. */
export function historyOf(rules: readonly HistoryRule[], channel: string): HistoryRule | undefined {
  const rule = rules.find(({ pattern }) => matches(pattern, channel));
  return rule && rule.size > 0 ? rule : undefined;
}
