import { expect } from "vitest";

/** Matches the id of an event. */
export const ID = expect.stringMatching(/^[0-9a-f]{16}-[0-9a-f]{8}:\d+$/);
