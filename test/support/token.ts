import jsonwebtoken, { type SignOptions } from "jsonwebtoken";

/** The HS256 secret of every node that a test starts, unless it says otherwise. */
export const SECRET = "a-secret-for-tests-only-0123456789abcdef";

const EVERYTHING = { "*": ["subscribe", "publish", "presence", "history", "hook", "publish_as"] };

export interface TokenOptions extends SignOptions {
  key?: jsonwebtoken.Secret;
  /** Default `user-1`. */
  sub?: string;
  /** The claim; default: everything everywhere. */
  channels?: Record<string, string[]>;
  /** Further claims. */
  claims?: object;
}

/** A token as a backend would sign it, valid for an hour. */
export function token(options: TokenOptions = {}): string {
  const { key = SECRET, sub = "user-1", channels = EVERYTHING, claims, ...sign } = options;
  return jsonwebtoken.sign({ sub, channels, ...claims }, key, { expiresIn: 3600, ...sign });
}
