import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Identity } from "../src/auth/identity.ts";
import { TokenError } from "../src/auth/token.ts";
import { VerifiedTokens } from "../src/auth/verified.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const NOW = 1_790_000_000_000;

function tokens({ later = false, lastsMs = 60_000 } = {}) {
  vi.setSystemTime(NOW);
  const verified: string[] = [];
  const revoked = new Set<string>();
  const cache = new VerifiedTokens(
    (token) => {
      verified.push(token);
      if (token.startsWith("bad")) throw new TokenError("token_invalid", "invalid signature");
      const identity = { user: token, expiresAt: Date.now() + lastsMs } as Identity;
      return later ? Promise.resolve(identity) : identity;
    },
    ({ user }) => {
      if (revoked.has(user)) throw new TokenError("token_revoked", "it was revoked");
    },
  );
  return { cache, verified, revoked };
}

it("verifies a token once in ten seconds", () => {
  const { cache, verified } = tokens();
  for (let i = 0; i < 5; i++) expect(cache.verify("ann")).toMatchObject({ user: "ann" });
  expect(cache.verify("bob")).toMatchObject({ user: "bob" });
  expect(verified).toEqual(["ann", "bob"]);
  vi.setSystemTime(NOW + 9_999);
  void cache.verify("ann");
  expect(verified).toHaveLength(2);
  vi.setSystemTime(NOW + 10_000);
  void cache.verify("ann");
  expect(verified).toEqual(["ann", "bob", "ann"]);
});

it("does not believe one past its end", () => {
  const { cache, verified } = tokens({ lastsMs: 3_000 });
  void cache.verify("ann");
  vi.setSystemTime(NOW + 3_000);
  void cache.verify("ann");
  expect(verified).toEqual(["ann", "ann"]);
});

it("asks each time whether it was revoked", () => {
  const { cache, revoked } = tokens();
  void cache.verify("ann");
  revoked.add("ann");
  expect(() => cache.verify("ann")).toThrow(expect.objectContaining({ code: "token_revoked" }));
});

it("holds none that was refused, and waits for one whose key has to be fetched", async () => {
  const refusing = tokens();
  for (let i = 0; i < 2; i++) expect(() => refusing.cache.verify("bad")).toThrow(TokenError);
  expect(refusing.verified).toEqual(["bad", "bad"]);
  const { cache, verified } = tokens({ later: true });
  expect(await cache.verify("ann")).toMatchObject({ user: "ann" });
  expect(cache.verify("ann")).toMatchObject({ user: "ann" });
  expect(verified).toEqual(["ann"]);
});

it("holds a thousand, and forgets the oldest first", () => {
  const { cache, verified } = tokens();
  for (let i = 0; i <= 1_000; i++) void cache.verify(`user-${i}`);
  verified.length = 0;
  void cache.verify("user-1");
  void cache.verify("user-0");
  expect(verified).toEqual(["user-0"]);
});
