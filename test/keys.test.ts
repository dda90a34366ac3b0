import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { MIN_SECRET_BYTES, pemBlocks, publicKey, secretKey } from "../src/auth/keys.ts";
import * as forge from "./tools/forge.ts";

const { pemOf } = forge;

describe("a secret", () => {
  it.each(["", "short", "s".repeat(31)])("of %j is refused without being quoted", (secret) => {
    expect(() => secretKey(secret)).toThrow(/at least 32 bytes$/);
  });

  it("counts in bytes", () => {
    expect(secretKey("é".repeat(MIN_SECRET_BYTES / 2)).key.symmetricKeySize).toBe(32);
  });

  it("verifies HMAC algorithms only", () => {
    expect(secretKey(forge.SECRET).algorithms).toEqual(["HS256", "HS384", "HS512"]);
  });
});

describe("a public key", () => {
  it.each([
    ["RSA", forge.rsa, ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]],
    ["P-256", forge.p256, ["ES256"]],
    ["P-384", forge.p384, ["ES384"]],
    ["P-521", forge.p521, ["ES512"]],
  ])("of kind %s verifies the algorithms that fit it", (_kind, pair, algorithms) => {
    expect(publicKey(pemOf(pair.publicKey)).algorithms).toEqual(algorithms);
  });

  it("is prepared as a public KeyObject", () => {
    expect(publicKey(pemOf(forge.rsa.publicKey)).key.type).toBe("public");
  });

  it("keeps its id", () => {
    expect(publicKey(pemOf(forge.rsa.publicKey), "k1").kid).toBe("k1");
  });

  it.each([
    ["PKCS#8", () => pemOf(forge.rsa.privateKey)],
    ["PKCS#1", () => forge.rsa.privateKey.export({ type: "pkcs1", format: "pem" }).toString()],
    ["SEC1", () => forge.p256.privateKey.export({ type: "sec1", format: "pem" }).toString()],
    [
      "encrypted PKCS#8",
      () =>
        forge.rsa.privateKey
          .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "p" })
          .toString(),
    ],
  ])("is refused when it is a private one (%s)", (_form, pem) => {
    expect(() => publicKey(pem())).toThrow(/private key/);
  });

  it.each([
    ["RSA of 1024 bits", () => generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey, /2048 bits/],
    ["Ed25519", () => generateKeyPairSync("ed25519").publicKey, /ed25519 are not supported/],
    ["secp256k1", () => generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey, /not supported/],
    ["RSA-PSS", () => generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).publicKey, /not supported/],
    ["X25519", () => generateKeyPairSync("x25519").publicKey, /not supported/],
  ])("is refused when it is %s", (_kind, make, message) => {
    expect(() => publicKey(pemOf(make()))).toThrow(message);
  });

  it.each(["", "no PEM", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"])(
    "is refused when it is %j",
    (pem) => {
      expect(() => publicKey(pem)).toThrow();
    },
  );
});

describe("pemBlocks", () => {
  it("finds every block of a text, comments between them or not", () => {
    const [a, b] = [pemOf(forge.rsa.publicKey).trim(), pemOf(forge.p256.publicKey).trim()];
    expect(pemBlocks(`# old\n${a}\n# new\n${b}\n`)).toEqual([a, b]);
    expect(pemBlocks(a + b)).toEqual([a, b]);
  });

  it("finds none where a block has no end", () => {
    expect(pemBlocks("-----BEGIN PUBLIC KEY-----\nMIIB")).toEqual([]);
  });
});
