import { describe, expect, it } from "vitest";
import { CANARY_DEFAULTS, DEFAULTS } from "../src/verify/options.ts";
import { plansFor } from "../src/verify/plan.ts";
import { LONGEST_MS, randomInterval } from "../src/verify/retry.ts";

describe("what clients follow", () => {
  it.each([
    ["a run", DEFAULTS],
    ["a canary", CANARY_DEFAULTS],
    ["few channels", { ...DEFAULTS, channels: 2, channelsPerClient: 2, clients: 8 }],
  ])("is, in %s, every kind of connection, and each channel by each transport", (_, options) => {
    const plans = plansFor(options, DEFAULTS.transports);
    const kinds = plans.map(
      ({ transport, channels }) => `${transport} ${channels.length > 1 ? "many" : "one"}`,
    );
    expect(new Set(kinds)).toEqual(new Set(["ws many", "sse many", "sse one"]));
    for (let channel = 0; channel < options.channels; channel++) {
      const followers = plans.filter(({ channels }) => channels.includes(channel));
      expect(new Set(followers.map(({ transport }) => transport)).size).toBe(2);
    }
  });

  it("is no transport for some channels and the other one for the rest, when each client has one", () => {
    const options = { channels: 2, clients: 8, channelsPerClient: 1 };
    const plans = plansFor(options, ["ws", "sse"]);
    for (const channel of [0, 1]) {
      const followers = plans.filter(({ channels }) => channels.includes(channel));
      expect(new Set(followers.map(({ transport }) => transport)).size).toBe(2);
    }
  });
});

it("no interval is longer than a timer can wait", () => {
  for (let i = 0; i < 1_000; i++) expect(randomInterval(LONGEST_MS)).toBeLessThanOrEqual(LONGEST_MS);
});
