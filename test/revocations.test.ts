import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Identity } from "../src/auth/identity.ts";
import {
  decodeRevocation,
  encodeRevocation,
  ends,
  type Revocation,
  Revocations,
} from "../src/auth/revocations.ts";
import { Node, token } from "./tools/conversation.ts";
import { claims, tokenWith } from "./tools/forge.ts";

const NOW = Date.parse("2026-03-08T14:30:00Z");
const HOUR = 3_600_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW });
});
afterEach(() => {
  vi.useRealTimers();
});

function identity(more: Partial<Identity> = {}): Identity {
  return {
    user: "ann",
    jti: "t1",
    issuedAt: NOW - HOUR,
    expiresAt: NOW + HOUR,
    grants: [],
    admin: [],
    ...more,
  };
}

const one: Revocation = { jti: "t1" };
const all: Revocation = { sub: "ann", issuedBefore: NOW };
const off: Revocation = { sub: "ann", openedBefore: NOW };

describe("a list of revocations", () => {
  it.each<[string, Revocation, Partial<Identity>, boolean]>([
    ["the token that it names", one, {}, true],
    ["no other token", one, { jti: "t2" }, false],
    ["no token without a name", one, { jti: undefined }, false],
    ["all of a user that are older", all, {}, true],
    ["one of the user without a time", all, { issuedAt: 0 }, true],
    ["none that is younger", all, { issuedAt: NOW }, false],
    ["none of another user", all, { user: "ann-b" }, false],
    ["no token where connections are meant", off, {}, false],
  ])("covers %s", (_what, revocation, more, covered) => {
    const list = new Revocations();
    list.add(revocation, NOW + HOUR);
    expect(list.covers(identity(more))).toBe(covered);
  });

  it("forgets what need not be kept, and counts no more what it has not forgotten yet", () => {
    const list = new Revocations();
    for (let i = 0; i < 100; i++) list.add({ jti: `t${i}` }, NOW + HOUR);
    vi.setSystemTime(NOW + HOUR);
    expect(list.covers(identity())).toBe(false);
    list.add({ jti: "new" }, NOW + 2 * HOUR);
    expect(list.size).toBe(1);
  });

  it("holds the later of two for one user, in whichever order they come", () => {
    for (const order of [
      [NOW, NOW - 2 * HOUR],
      [NOW - 2 * HOUR, NOW],
    ]) {
      const list = new Revocations();
      for (const issuedBefore of order) list.add({ sub: "ann", issuedBefore }, NOW + HOUR);
      expect(list.covers(identity())).toBe(true);
      expect(list.size).toBe(1);
    }
  });

  it("takes `__proto__` for a name like any other", () => {
    const list = new Revocations();
    list.add({ jti: "__proto__" }, NOW + HOUR);
    expect(list.covers(identity())).toBe(false);
    expect(list.covers(identity({ jti: "__proto__" }))).toBe(true);
  });
});

describe("a revocation on its way", () => {
  it.each([one, all, off])("comes out as it went in: %j", (revocation) => {
    expect(decodeRevocation(encodeRevocation(revocation))).toEqual(revocation);
  });

  it.each(["", "null", "[]", "{}", '{"sub":"ann"}', '{"sub":1,"issuedBefore":1}', '{"jti":5}', '"t1"'])(
    "is none: %s",
    (text) => {
      expect(decodeRevocation(text)).toBeUndefined();
    },
  );

  it("ends connections that were open then, and none that came later", () => {
    expect(ends(off, identity(), NOW - 1)).toBe(true);
    expect(ends(off, identity(), NOW)).toBe(false);
  });
});

describe("a session", () => {
  it("ends when its token is revoked, and its user's others stay", async () => {
    const node = new Node();
    const clients = ["t1", "t2"].map((jti) => node.anonymous().authenticated(claims({ sub: "ann", jti })));
    const [first, second] = await Promise.all(clients);
    node.revoke(one);
    expect([first?.connection.closed, second?.connection.closed]).toEqual(["token_revoked", undefined]);
  });

  it("ends when the tokens of its user are, and stays when it has a younger one", async () => {
    const node = new Node();
    const iat = NOW / 1000;
    const old = await node.anonymous().authenticated(claims({ sub: "ann", iat: iat - 60 }));
    const refreshed = await node.anonymous().authenticated(claims({ sub: "ann", iat: iat - 60 }));
    await refreshed.ask({ type: "auth", token: tokenWith(claims({ sub: "ann", iat })) });
    const bob = await node.anonymous().authenticated(claims({ sub: "bob", iat: iat - 60 }));
    node.revoke({ sub: "ann", issuedBefore: NOW });
    const closed = [old, refreshed, bob].map(({ connection }) => connection.closed);
    expect(closed).toEqual(["token_revoked", undefined, undefined]);
  });

  it("that has not authenticated does not end", () => {
    const node = new Node();
    const client = node.anonymous();
    node.revoke(all);
    expect(client.connection.closed).toBeUndefined();
  });

  it("is disconnected, with a token that stays good", async () => {
    const node = new Node();
    const client = node.as("ann");
    vi.setSystemTime(NOW + 1);
    node.revoke({ sub: "ann", openedBefore: NOW + 1 });
    expect(client.connection.closed).toBe("disconnected");
    const again = node.anonymous();
    expect(await again.ask({ type: "auth", token: token("ann") })).toMatchObject([{ type: "authenticated" }]);
  });

  it("is not let in with a revoked token, and keeps the good one that it had", async () => {
    const node = new Node();
    node.revoke({ jti: "stolen" });
    const thief = node.anonymous();
    const stolen = tokenWith(claims({ sub: "ann", jti: "stolen" }));
    await thief.ask({ type: "auth", token: stolen });
    expect(thief.connection.closed).toBe("token_revoked");
    const ann = node.as("ann");
    const answers = await ann.ask({ type: "auth", token: stolen });
    expect(answers).toMatchObject([{ type: "error", code: "token_revoked" }]);
    expect(ann.connection.closed).toBeUndefined();
  });
});
