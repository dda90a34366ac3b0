import { randomUUID } from "node:crypto";
import jsonwebtoken from "jsonwebtoken";
import type { Config } from "../config/config.ts";
import { developmentSecret } from "./development.ts";

export interface TokenRequest {
  readonly sub: string;
  /** The `channels` claim. */
  readonly channels: unknown;
  /** The `admin` claim; default: none. */
  readonly admin?: readonly string[] | undefined;
  readonly ttlSeconds: number;
}

/** Everything on every channel. */
export const ALL_GRANTS = { "*": ["subscribe", "publish", "presence", "history", "hook", "publish_as"] };

/**
 * A token as an application's backend would sign it, with the newest configured secret.
 * @throws {Error} where only public keys are configured: whoever holds the private one signs
 */
export function mintToken(config: Config, { sub, channels, admin, ttlSeconds }: TokenRequest): string {
  const secret = config.development ? developmentSecret() : config.jwt_secret?.[0];
  if (secret === undefined) {
    throw new Error(
      "only public keys are configured: sign tokens where the private key is (TIDEGATE_JWT_SECRET is not set)",
    );
  }
  const claims = {
    sub,
    jti: randomUUID(),
    channels,
    ...(admin === undefined ? {} : { admin }),
    ...(config.jwt_issuer === undefined ? {} : { iss: config.jwt_issuer }),
    ...(config.jwt_audience === undefined ? {} : { aud: config.jwt_audience }),
  };
  return jsonwebtoken.sign(claims, secret, { algorithm: "HS256", expiresIn: ttlSeconds });
}
