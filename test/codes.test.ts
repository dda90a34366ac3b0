import { describe, expect, it } from "vitest";
import { environmentName, OPTIONS, type OptionName } from "../src/config/options.ts";
import { CODES, type Code, type CodeRow, RequestError, shouldReconnect } from "../src/protocol/codes.ts";

const rows = Object.entries(CODES) as [Code, CodeRow][];
const closes = rows.flatMap(([code, { close }]) => (close === undefined ? [] : [{ code, close }]));

describe("the table of codes", () => {
  it("names each code in words of lower case", () => {
    for (const [code] of rows) expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
  });

  it("has close numbers from 4000 to 4999 only", () => {
    for (const { code, close } of closes) {
      expect(close, code).toBeGreaterThanOrEqual(4000);
      expect(close, code).toBeLessThanOrEqual(4999);
    }
  });

  it("gives no close number to two codes", () => {
    const numbers = closes.map(({ close }) => close);
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  it("never tells a client to stay away for what is temporary", () => {
    for (const { code, close } of closes) {
      if ((CODES[code] as CodeRow).temporary) expect(shouldReconnect(close), code).toBe(true);
    }
  });

  it("sends a client away for good only when the same connection would end the same way, or when that is the point", () => {
    const away = closes.filter(({ close }) => !shouldReconnect(close)).map(({ code }) => code);
    expect(away.sort()).toEqual(["disconnected", "token_invalid", "token_revoked", "too_big"]);
  });

  it("answers with HTTP statuses of errors only, and with 429 or 5xx when it is temporary", () => {
    for (const [code, { status, temporary }] of rows) {
      if (status === undefined) continue;
      expect(status, code).toBeGreaterThanOrEqual(400);
      expect(status, code).toBeLessThanOrEqual(599);
      if (temporary) expect(status === 429 || status >= 500, code).toBe(true);
    }
  });

  it("has a title and a cure for each", () => {
    for (const [code, { title, cure }] of rows) {
      expect(title, code).toMatch(/^[A-Z].*[^.]$/);
      expect(cure, code).toMatch(/[.`]$/);
    }
  });
});

describe("the variables of a code", () => {
  const variables = new Set((Object.keys(OPTIONS) as OptionName[]).map(environmentName));

  it.each(rows)("%s: are options, and all that its cure speaks of", (_code, { cure, keys = [] }) => {
    expect(keys.filter((key) => !variables.has(key))).toEqual([]);
    const named = cure.match(/TIDEGATE_[A-Z_]*[A-Z]/g) ?? [];
    expect(named.filter((key) => !keys.includes(key))).toEqual([]);
  });
});

describe("shouldReconnect", () => {
  it("follows the range of the number alone, over all numbers there are", () => {
    const never = new Set([1000, 1002, 1003, 1007, 1008, 1009, 1010]);
    for (let close = 1000; close <= 4999; close++) {
      const expected = close < 4000 ? !never.has(close) : close < 4500;
      expect(shouldReconnect(close), String(close)).toBe(expected);
    }
  });

  it.each([
    [1001, "the server goes away"],
    [1006, "the connection was cut"],
    [1011, "the server failed"],
    [1012, "the service restarts"],
    [1013, "it should try again later"],
  ])("says yes to %i: %s", (close) => {
    expect(shouldReconnect(close)).toBe(true);
  });
});

describe("RequestError", () => {
  it("says the title of its code when nobody says more", () => {
    expect(new RequestError("forbidden").message).toBe(CODES.forbidden.title);
  });

  it("keeps the channel and the hint that it was given", () => {
    const error = new RequestError("forbidden", "why", { channel: "a", hint: "how" });
    expect(error).toMatchObject({ code: "forbidden", message: "why", channel: "a", hint: "how" });
  });
});
