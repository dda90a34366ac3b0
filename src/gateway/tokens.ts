import type { Logger } from "pino";
import type { Jwks } from "../auth/jwks.ts";
import { pemBlocks, publicKey, secretKey } from "../auth/keys.ts";
import type { TokenRules } from "../auth/token.ts";
import type { Config } from "../config/config.ts";

/** An edge is exposed: what makes outgoing requests is not even loaded unless it was asked for. */
export async function loadJwks(url: string, log: Logger): Promise<Jwks> {
  const { Jwks } = await import("../auth/jwks.ts");
  return new Jwks(url, log);
}

export function keyRules(config: Config, jwks: Jwks | undefined): Omit<TokenRules, "revocations"> {
  return {
    keys: [
      ...(config.jwt_secret ?? []).map((secret) => secretKey(secret)),
      ...pemBlocks(config.jwt_public_key ?? "").map((pem) => publicKey(pem)),
    ],
    jwks,
    issuer: config.jwt_issuer,
    audience: config.jwt_audience,
  };
}
