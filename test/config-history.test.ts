import { describe, expect, it } from "vitest";
import { historyOf } from "../src/backplane/history.ts";
import { readConfig } from "../src/config/config.ts";
import { production, refused, value } from "./tools/option.ts";

describe("what channels keep", () => {
  const rules = value(
    "history",
    '{"*":{"size":1000,"time":"10m"},"chat-*":{"size":5,"time":"1s"},"chat-secret-*":"off","chat-secret-1":{"size":100000,"time":"8760h"},"c*":"off"}',
  );

  it.each([
    ["news", 1_000, 600_000],
    ["chat-1", 5, 1_000],
    ["chat-", 5, 1_000],
    ["chat", undefined, undefined],
    ["chat-secret-2", undefined, undefined],
    ["chat-secret-1", 100_000, 31_536_000_000],
    ["chat-secret-11", undefined, undefined],
  ])("is what the most specific pattern says: %s", (channel, size, timeMs) => {
    const found = historyOf(rules, channel);
    expect([found?.size, found?.timeMs]).toEqual([size, timeMs]);
  });

  it("is a thousand events for ten minutes when nothing is said, and nothing where no pattern matches", () => {
    expect(historyOf(readConfig({ environment: production }).history, "x")).toMatchObject({
      size: 1_000,
      timeMs: 600_000,
    });
    expect(historyOf(value("history", "{}"), "x")).toBeUndefined();
    expect(historyOf(value("history", '{"*":"off"}'), "x")).toBeUndefined();
  });

  it.each([
    ["off", "is not JSON"],
    ['"off"', "object of up to 100 channel patterns"],
    ["[]", "object of up to 100 channel patterns"],
    ["null", "object of up to 100 channel patterns"],
    [
      JSON.stringify(Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`c${i}`, "off"]))),
      "object of up to 100 channel patterns",
    ],
    ['{"":"off"}', "is not a channel pattern"],
    ['{"**":"off"}', "is not a channel pattern"],
    ['{"*a":"off"}', "is not a channel pattern"],
    ['{"a*b":"off"}', "is not a channel pattern"],
    ['{"a b":"off"}', "is not a channel pattern"],
    ['{"a":"on"}', '"a" is "off" or'],
    ['{"a":5}', '"a" is "off" or'],
    ['{"a":null}', '"a" is "off" or'],
    ['{"a":{"size":1,"time":"1s","more":1}}', '"a" is "off" or'],
    ['{"a":{"time":"1s"}}', 'the size of "a"'],
    ['{"a":{"size":0,"time":"1s"}}', 'the size of "a"'],
    ['{"a":{"size":-1,"time":"1s"}}', 'the size of "a"'],
    ['{"a":{"size":1.5,"time":"1s"}}', 'the size of "a"'],
    ['{"a":{"size":"1","time":"1s"}}', 'the size of "a"'],
    ['{"a":{"size":100001,"time":"1s"}}', 'the size of "a"'],
    ['{"a":{"size":1}}', 'the time of "a"'],
    ['{"a":{"size":1,"time":60}}', 'the time of "a"'],
    ['{"a":{"size":1,"time":"60"}}', "is not a duration"],
    ['{"a":{"size":1,"time":"999ms"}}', "is not between 1s"],
    ['{"a":{"size":1,"time":"8761h"}}', "is not between 1s"],
  ])("is refused by name when it is malformed: %.60s", (value, why) => {
    const message = refused("history", value);
    expect(message).toContain("TIDEGATE_HISTORY");
    expect(message).toContain(why);
  });
});

describe("the prefix of all names in Redis", () => {
  it.each(["tidegate", "a", "A-1_b", "p".repeat(64)])("may be %s", (prefix) => {
    expect(value("redis_prefix", prefix)).toBe(prefix);
  });

  it.each(["a:b", "a b", "a{b", "ä", "a*", "p".repeat(65), "a\n"])("may not be %j", (prefix) => {
    expect(refused("redis_prefix", prefix)).toContain("TIDEGATE_REDIS_PREFIX");
  });
});
