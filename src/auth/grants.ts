import { isChannelPattern, matches } from "../protocol/channel.ts";
import { isObject } from "../protocol/json.ts";

export const ACTIONS = ["subscribe", "publish", "presence", "history", "hook", "publish_as"] as const;
export type Action = (typeof ACTIONS)[number];

function isAction(value: unknown): value is Action {
  return ACTIONS.includes(value as Action);
}

/** What concerns others than the token's owner: the claim `admin`. */
export const ADMIN_ACTIONS = ["connections", "revoke", "channels", "console", "hooks", "jobs"] as const;
export type AdminAction = (typeof ADMIN_ACTIONS)[number];

/**
 * The claim `admin`: a list of actions, or of `*` for all.
 * @throws {Error} naming `where` and the rule
 */
export function parseAdmin(value: unknown, where: string): readonly AdminAction[] {
  const known = (action: unknown) => action === "*" || ADMIN_ACTIONS.includes(action as AdminAction);
  if (!Array.isArray(value) || !value.every(known))
    throw new Error(`${where} is a list out of ${ADMIN_ACTIONS.join(", ")}, or ["*"]`);
  return value.includes("*") ? ADMIN_ACTIONS : (value as AdminAction[]);
}

/** What one channel pattern allows. */
export interface Grant {
  /** A channel name, or a beginning followed by `*`, which matches any rest (also none), `:` included. */
  readonly pattern: string;
  readonly actions: readonly Action[];
}

/** Why something is allowed or not. */
export type Decision =
  | { readonly allowed: true; readonly rule: string }
  | { readonly allowed: false; readonly reason: string; readonly cure: string };

/**
 * Grants in the shape of the `channels` claim: `{"chat-*": ["subscribe", "publish"]}`.
 * @throws {Error} naming `where` and the rule
 */
export function parseGrants(value: unknown, where: string, isPattern = isChannelPattern): Grant[] {
  if (!isObject(value))
    throw new Error(`${where} is an object of channel patterns, like {"chat-*":["subscribe"]}`);
  return Object.entries(value).map(([pattern, actions]) => {
    if (!isPattern(pattern)) {
      throw new Error(
        `${where}: "${pattern.slice(0, 200)}" is not a channel pattern (at most one *, at the end; before it, {sub} is followed by : or .)`,
      );
    }
    if (!Array.isArray(actions) || !actions.every(isAction)) {
      throw new Error(`${where}: the actions of "${pattern}" are a list out of ${ACTIONS.join(", ")}`);
    }
    return { pattern, actions };
  });
}

/** A server-side rule may also name its owner: `user:{sub}:*`. */
export function parseRules(value: unknown, where: string): Grant[] {
  return parseGrants(value, where, isRulePattern);
}

/** `user-{sub}-*` would let ann into the channels of a user named ann-b: in front of a `*` a user ends with : or . */
function isRulePattern(pattern: string): boolean {
  if (pattern.endsWith("*") && /\{sub\}(?![:.])/.test(pattern)) return false;
  return isChannelPattern(pattern.replaceAll("{sub}", "x"));
}

/** A `sub` that can stand in a channel name without meaning anything else there. */
const PLAIN_SUB = /^[A-Za-z0-9_-]{1,128}$/;

/**
 * Whether `identity` may do `action` on `channel`: by a grant of its token, or by a server-side rule.
 * The actions of all matching patterns add up; the default is nothing.
 */
export function may(
  identity: { readonly user: string; readonly grants: readonly Grant[] },
  action: Action,
  channel: string,
  rules: readonly Grant[],
): Decision {
  for (const grant of identity.grants) {
    if (grant.actions.includes(action) && matches(grant.pattern, channel)) {
      return { allowed: true, rule: `the token's claim channels["${grant.pattern}"]` };
    }
  }
  for (const rule of rules) {
    if (rule.actions.includes(action) && matchesRule(rule.pattern, channel, identity.user)) {
      return { allowed: true, rule: `the server rule TIDEGATE_GRANTS["${rule.pattern}"]` };
    }
  }
  return {
    allowed: false,
    reason: `nothing allows ${action} on ${channel}`,
    cure: `the claim "channels": {"${channel}": ["${action}"]} in the token, or the same in TIDEGATE_GRANTS`,
  };
}

function matchesRule(pattern: string, channel: string, user: string): boolean {
  if (!pattern.includes("{sub}")) return matches(pattern, channel);
  // A user named `*` or `a:b` must not widen somebody's rule: such a `sub` matches no rule that names it.
  return PLAIN_SUB.test(user) && matches(pattern.replaceAll("{sub}", user), channel);
}
