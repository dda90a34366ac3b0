import { describe, expect, it } from "vitest";
import { isOrigin, isOriginAllowed } from "../src/auth/origin.ts";

const listed = ["https://app.example.com", "http://localhost:3000"];
const own = "https://gateway.example.com";

describe("a listed origin", () => {
  it.each(listed)("%s is allowed", (origin) => {
    expect(isOriginAllowed(listed, origin, own)).toBe(true);
  });

  it.each([
    ["null", "null"],
    ["the empty origin", ""],
    ["its name as a beginning", "https://app.example.com.evil.example"],
    ["its name as an end", "https://evil-app.example.com"],
    ["a subdomain", "https://x.app.example.com"],
    ["its parent", "https://example.com"],
    ["another scheme", "http://app.example.com"],
    ["another port", "https://app.example.com:8443"],
    ["its default port spelled out", "https://app.example.com:443"],
    ["upper case", "https://APP.example.com"],
    ["an upper-case scheme", "HTTPS://app.example.com"],
    ["user info", "https://app.example.com@evil.example"],
    ["user info in front", "https://user@app.example.com"],
    ["a dot at the end", "https://app.example.com."],
    ["a slash at the end", "https://app.example.com/"],
    ["a letter that looks the same", "https://аpp.example.com"],
    ["that letter in punycode", "https://xn--pp-8ka.example.com"],
    ["a space", "https://app.example.com "],
    ["a second origin behind it", "https://app.example.com https://evil.example"],
    ["a file", "file://"],
  ])("is not %s", (_what, origin) => {
    expect(isOriginAllowed(listed, origin, own)).toBe(false);
  });

  it("is no other when the list is empty", () => {
    expect(isOriginAllowed([], "https://app.example.com", own)).toBe(false);
  });
});

describe("a rule in one word", () => {
  it("lets everybody in with *", () => {
    for (const origin of ["https://evil.example", "null"])
      expect(isOriginAllowed("*", origin, own)).toBe(true);
  });

  it("lets no browser in with none", () => {
    expect(isOriginAllowed("none", own, own)).toBe(false);
  });

  it("lets in only whom it serves itself with same-origin", () => {
    expect(isOriginAllowed("same-origin", own, own)).toBe(true);
    for (const origin of [
      "http://gateway.example.com",
      `${own}:8443`,
      "https://gateway.example.com.evil.example",
      "null",
    ]) {
      expect(isOriginAllowed("same-origin", origin, own), origin).toBe(false);
    }
  });
});

describe("isOrigin", () => {
  it.each(["https://app.example.com", "http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]:8080"])(
    "says yes to %s",
    (text) => {
      expect(isOrigin(text)).toBe(true);
    },
  );

  it.each([
    "app.example.com",
    "https://app.example.com/",
    "https://app.example.com/path",
    "https://app.example.com:443",
    "https://APP.example.com",
    "https://user@app.example.com",
    "https://*.example.com",
    "https://bücher.example",
    "wss://app.example.com",
    "null",
    "",
    "*",
  ])("says no to %j, which no browser sends or nobody should list", (text) => {
    expect(isOrigin(text)).toBe(false);
  });
});
