import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  ACTIONS,
  type Action,
  ADMIN_ACTIONS,
  type Grant,
  may,
  parseAdmin,
  parseGrants,
  parseRules,
} from "../src/auth/grants.ts";
import type { Identity } from "../src/auth/identity.ts";
import { isChannel, isReservedChannel } from "../src/protocol/channel.ts";
import { identity } from "./tools/forge.ts";

function holder(channels: Record<string, Action[]> = {}, user = "ann"): Identity {
  return identity({ user, grants: parseGrants(channels, "claim `channels`") });
}

const noRules: Grant[] = [];

function allowed(who: Identity, action: Action, channel: string, rules = noRules): boolean {
  return may(who, action, channel, rules).allowed;
}

describe("a pattern", () => {
  it.each([
    ["*", ["a", "chat-123", "user:42:inbox"], []],
    ["chat-*", ["chat-", "chat-1", "chat-1:x:y"], ["chat", "Chat-1", "xchat-1", "cha"]],
    ["user:42:*", ["user:42:", "user:42:inbox"], ["user:42", "user:421:inbox", "user:4", "user:43:inbox"]],
    ["chat-123", ["chat-123"], ["chat-12", "chat-1234", "chat-123:x", "CHAT-123"]],
    ["a.c", ["a.c"], ["abc", "a-c"]],
  ])("%s matches what it says and nothing else", (pattern, inside, outside) => {
    const who = holder({ [pattern]: ["subscribe"] });
    for (const channel of inside) expect(allowed(who, "subscribe", channel), channel).toBe(true);
    for (const channel of outside) expect(allowed(who, "subscribe", channel), channel).toBe(false);
  });

  it("allows the actions that it lists and no other", () => {
    for (const action of ACTIONS) {
      const who = holder({ "chat-*": [action] });
      expect(ACTIONS.filter((one) => allowed(who, one, "chat-1"))).toEqual([action]);
    }
  });

  it("adds its actions to those of every other that matches", () => {
    const who = holder({
      "*": ["history"],
      "chat-*": ["subscribe"],
      "chat-1": ["publish"],
      "chat-2": ["hook"],
    });
    expect(ACTIONS.filter((action) => allowed(who, action, "chat-1"))).toEqual([
      "subscribe",
      "publish",
      "history",
    ]);
  });

  it("with no action allows nothing, and takes nothing away", () => {
    const who = holder({ "*": ["subscribe"], "chat-1": [] });
    expect(allowed(who, "subscribe", "chat-1")).toBe(true);
    expect(allowed(who, "publish", "chat-1")).toBe(false);
  });

  it.each([
    "**",
    "a*b",
    "*a",
    "a**",
    " *",
    "-*",
    "a b*",
    "a?",
    "[ab]",
    "a\\*",
    "user:[ab]",
    "",
    "{sub}",
    "é*",
    "a\n",
    "a*\n",
  ])("is refused when it is %j", (pattern) => {
    expect(() => parseGrants({ [pattern]: ["subscribe"] }, "it")).toThrow(/not a channel pattern/);
  });

  it.each([null, 5, "subscribe", {}, ["subscribe", 5], ["SUBSCRIBE"], ["*"], ["toString"]])(
    "is refused with the actions %j",
    (actions) => {
      expect(() => parseGrants({ "chat-*": actions }, "it")).toThrow(
        /the actions of "chat-\*" are a list out of/,
      );
    },
  );

  it.each([null, undefined, 5, "chat-*", ["chat-*"]])("is refused in %j, which is no object", (value) => {
    expect(() => parseGrants(value, "claim `channels`")).toThrow(/^claim `channels` is an object/);
  });
});

describe("nobody", () => {
  it("may do anything without a grant", () => {
    for (const action of ACTIONS) expect(allowed(holder(), action, "chat-1")).toBe(false);
  });
});

describe("a server-side rule", () => {
  const rules = parseRules({ "public:*": ["subscribe"], "user:{sub}:*": ["subscribe", "publish"] }, "it");

  it("grants to everybody without a claim", () => {
    expect(allowed(holder(), "subscribe", "public:news", rules)).toBe(true);
    expect(allowed(holder(), "publish", "public:news", rules)).toBe(false);
  });

  it("with {sub} grants to its owner alone", () => {
    expect(allowed(holder({}, "ann"), "publish", "user:ann:inbox", rules)).toBe(true);
    expect(allowed(holder({}, "bob"), "publish", "user:ann:inbox", rules)).toBe(false);
    expect(allowed(holder({}, "an"), "publish", "user:ann:inbox", rules)).toBe(false);
    expect(allowed(holder({}, "ann"), "publish", "user:{sub}:inbox", rules)).toBe(false);
  });

  it("adds its actions to those of the token", () => {
    const who = holder({ "public:*": ["history"] });
    expect(ACTIONS.filter((action) => allowed(who, action, "public:x", rules))).toEqual([
      "subscribe",
      "history",
    ]);
  });

  it("replaces every {sub}", () => {
    const twice = parseRules({ "dm:{sub}:{sub}": ["subscribe"] }, "it");
    expect(allowed(holder({}, "ann"), "subscribe", "dm:ann:ann", twice)).toBe(true);
    expect(allowed(holder({}, "ann"), "subscribe", "dm:ann:{sub}", twice)).toBe(false);
  });

  it.each([
    "*",
    "ann:*",
    "ann:inbox",
    "a.n",
    "",
    "an n",
    "ann\n",
    "é",
    "$&",
    "$`",
    "{sub}",
    "s".repeat(129),
    "user@example.com",
    "../ann",
  ])("with {sub} grants nothing to a user named %j", (user) => {
    const own = `user:${user}:inbox`;
    for (const channel of [own, "user:ann:inbox", "user::inbox", "user:"]) {
      expect(allowed(holder({}, user), "subscribe", channel, rules)).toBe(false);
    }
    expect(allowed(holder({}, user), "subscribe", "public:x", rules), "other rules still count").toBe(true);
  });

  it("reads {sub} never again as a pattern or a replacement, whoever the user is", () => {
    const odd = fc.constantFrom("*", "$&", "$`", "$'", "{sub}");
    const users = fc.oneof(fc.string({ unit: "grapheme", maxLength: 20 }), odd);
    fc.assert(
      fc.property(users, fc.string({ maxLength: 20 }), (user, victim) => {
        const channel = `user:${victim}:inbox`;
        if (allowed(holder({}, user), "subscribe", channel, rules)) expect(victim).toBe(user);
      }),
      { numRuns: 5_000 },
    );
  });

  it.each(["user:{SUB}:*", "user:{sub", "user:{user}", "{sub} *", "user:*:{sub}"])(
    "is refused as %j",
    (pattern) => {
      expect(() => parseRules({ [pattern]: ["subscribe"] }, "TIDEGATE_GRANTS")).toThrow(
        /not a channel pattern/,
      );
    },
  );

  it.each(["user:{sub}*", "user-{sub}-*", "{sub}*", "a:{sub}:{sub}*"])(
    "is refused as %j: it would let ann in where another user begins with ann",
    (pattern) => {
      expect(() => parseRules({ [pattern]: ["subscribe"] }, "TIDEGATE_GRANTS")).toThrow(/\{sub\}/);
    },
  );

  it.each(["user:{sub}:*", "user.{sub}.*", "user:{sub}", "user-{sub}-inbox", "{sub}:*"])(
    "may be %j",
    (pattern) => {
      expect(parseRules({ [pattern]: ["subscribe"] }, "it")).toEqual([{ pattern, actions: ["subscribe"] }]);
    },
  );
});

describe("the reason", () => {
  const rules = parseRules({ "public:*": ["subscribe"] }, "it");
  const who = holder({ "chat-*": ["subscribe"] });

  it("of a grant names the claim or the rule", () => {
    expect(may(who, "subscribe", "chat-1", rules)).toEqual({
      allowed: true,
      rule: `the token's claim channels["chat-*"]`,
    });
    expect(may(who, "subscribe", "public:x", rules)).toEqual({
      allowed: true,
      rule: `the server rule TIDEGATE_GRANTS["public:*"]`,
    });
  });

  it("of a denial names the action, the channel, and what would allow it", () => {
    expect(may(who, "publish", "chat-1", rules)).toEqual({
      allowed: false,
      reason: "nothing allows publish on chat-1",
      cure: 'the claim "channels": {"chat-1": ["publish"]} in the token, or the same in TIDEGATE_GRANTS',
    });
  });

  it("of a denial holds a cure that works", () => {
    const decision = may(who, "publish", "chat-1", noRules);
    const cure = /"channels": (\{.*\}) in the token/.exec(decision.allowed ? "" : decision.cure)?.[1] ?? "";
    expect(allowed(holder(JSON.parse(cure)), "publish", "chat-1")).toBe(true);
  });
});

describe("a name that is nearly a granted one", () => {
  const granted = ["chat-123", "user:ann:inbox", "tenant-7.orders"];
  const who = holder(Object.fromEntries(granted.map((name) => [name, [...ACTIONS]])));
  const oddities = [
    " ",
    "\0",
    "\n",
    "\r\n",
    "\t",
    "*",
    "?",
    "[",
    "]",
    "\\",
    "%2e",
    "%00",
    "..",
    "/",
    "$",
    "\u200b",
    "\u0301",
    ":",
    ".",
    "-",
  ];

  const near = fc
    .record({
      name: fc.constantFrom(...granted),
      at: fc.nat(20),
      oddity: fc.oneof(
        fc.constantFrom(...oddities),
        fc.string({ unit: "binary", minLength: 1, maxLength: 2 }),
      ),
      change: fc.constantFrom("insert", "replace", "drop", "case", "wide", "compose"),
    })
    .map(({ name, at, oddity, change }) => {
      const i = at % (name.length + 1);
      const here = name[i] ?? "";
      switch (change) {
        case "insert":
          return name.slice(0, i) + oddity + name.slice(i);
        case "replace":
          return name.slice(0, i) + oddity + name.slice(i + 1);
        case "drop":
          return name.slice(0, i) + name.slice(i + 1);
        case "case":
          return name.slice(0, i) + here.toUpperCase() + name.slice(i + 1);
        case "wide": // what NFKC would make the same
          return name.slice(0, i) + String.fromCharCode(here.charCodeAt(0) + 0xfee0) + name.slice(i + 1);
        default:
          return `${name}${oddity}`.normalize("NFD");
      }
    })
    .filter((name) => !granted.includes(name));

  it("is never granted, in 10,000 tries", () => {
    fc.assert(
      fc.property(near, fc.constantFrom(...ACTIONS), (channel, action) => {
        expect(allowed(who, action, channel)).toBe(false);
      }),
      { numRuns: 10_000 },
    );
  });

  it("is no channel name when it holds anything but the few characters that names may have", () => {
    fc.assert(
      fc.property(near, (channel) => {
        if (isChannel(channel)) expect(channel).toMatch(/^[A-Za-z0-9][A-Za-z0-9_.:-]*$/);
      }),
      { numRuns: 10_000 },
    );
    for (const glob of ["*", "user:[ab]", "a?", "\\*", "chat-*"]) expect(isChannel(glob), glob).toBe(false);
  });
});

describe("a channel of the gateway", () => {
  it.each(["job:1", "job:", "$system"])("is %s", (name) => {
    expect(isReservedChannel(name)).toBe(true);
  });

  it.each(["job", "jobs:1", "Job:1", "a:job:1", "a$"])("is not %s", (name) => {
    expect(isReservedChannel(name)).toBe(false);
  });
});

describe("the claim `admin`", () => {
  it("is a list of actions, or of `*` for all", () => {
    expect(parseAdmin(["revoke"], "it")).toEqual(["revoke"]);
    expect(parseAdmin([], "it")).toEqual([]);
    expect(parseAdmin(["revoke", "*"], "it")).toEqual(ADMIN_ACTIONS);
  });

  it.each([["revoke"], [["revok"]], [[5]], [{}], [null], [["revoke", "everything"]], [[["revoke"]]]])(
    "is refused when it is %j",
    (value) => {
      expect(() => parseAdmin(value, "claim `admin`")).toThrow(/^claim `admin` is a list out of connections/);
    },
  );
});
