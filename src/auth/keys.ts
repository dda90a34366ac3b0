import { createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import type { Algorithm } from "jsonwebtoken";

/**
 * One key that tokens may be signed with. Prepared once: `jsonwebtoken.verify` with a string secret costs
 * 370 µs, with a KeyObject 7 µs. The algorithms are fixed per key, so a token cannot choose how it is checked
 * (RFC 8725 3.1).
 */
export interface VerificationKey {
  readonly key: KeyObject;
  readonly algorithms: readonly Algorithm[];
  readonly kid?: string;
}

/** RFC 7518 3.2: a key at least as long as the hash. */
export const MIN_SECRET_BYTES = 32;

/** @throws {Error} when the secret is too short */
export function secretKey(secret: string): VerificationKey {
  const bytes = Buffer.from(secret, "utf8");
  if (bytes.length < MIN_SECRET_BYTES) throw new Error(`a secret has at least ${MIN_SECRET_BYTES} bytes`);
  return { key: createSecretKey(bytes), algorithms: ["HS256", "HS384", "HS512"] };
}

const EC_ALGORITHMS: Record<string, Algorithm> = {
  prime256v1: "ES256",
  secp384r1: "ES384",
  secp521r1: "ES512",
};

/** @throws {Error} when it is not the PEM of an RSA (≥ 2048 bits) or EC public key */
export function publicKey(pem: string, kid?: string): VerificationKey {
  if (pem.includes("PRIVATE KEY"))
    throw new Error("this is a private key: a gateway needs the public one only");
  const key = createPublicKey(pem);
  return { key, algorithms: algorithmsOf(key), ...(kid === undefined ? {} : { kid }) };
}

function algorithmsOf(key: KeyObject): Algorithm[] {
  const details = key.asymmetricKeyDetails;
  if (key.asymmetricKeyType === "rsa") {
    if ((details?.modulusLength ?? 0) < 2048) throw new Error("an RSA key has at least 2048 bits");
    return ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
  }
  const ec = key.asymmetricKeyType === "ec" ? EC_ALGORITHMS[details?.namedCurve ?? ""] : undefined;
  if (!ec)
    throw new Error(
      `keys of type ${key.asymmetricKeyType} are not supported (RSA, or EC P-256, P-384, P-521)`,
    );
  return [ec];
}

/** The PEM blocks of a text that holds one or several. */
export function pemBlocks(text: string): string[] {
  return text.match(/-----BEGIN [^-]+-----[\s\S]+?-----END [^-]+-----/g) ?? [];
}
