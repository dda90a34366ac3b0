import { beforeAll, describe, expect } from "vitest";
import { type GatewayNode, sharedStage, test } from "../support/servers.ts";
import { converse } from "./http.ts";
import { HTTP_CASES } from "./http-cases.ts";
import { GAPS } from "./http-gaps.ts";
import { expectUnharmed, UNLIMITED } from "./unharmed.ts";

const stage = sharedStage();
let node: GatewayNode;

beforeAll(async () => {
  node = await stage.node({ env: UNLIMITED });
});

describe.concurrent("HTTP sent straight to a node", () => {
  test.for(HTTP_CASES.filter(({ name }) => !GAPS.has(name)))("$name", async ({ segments, verdict }) => {
    const answers = await converse(node.port, segments);
    expect(answers).toEqual({ verdict, statuses: answers.statuses });
    // Nothing that is one request is answered twice, whatever came behind it.
    if (verdict === "served") expect(answers.statuses).toHaveLength(1);
    else expect(answers.statuses.length).toBeLessThanOrEqual(1);
  });

  test.for([...GAPS])("known gap: %s", async ([name, { why, ...asListed }]) => {
    const asked = HTTP_CASES.find((one) => one.name === name);
    if (!asked) throw new Error(`no case has the name ${name}`);
    expect(why).toMatch(/^RFC 9112 \d/);
    const answers = await converse(node.port, asked.segments);
    expect(answers, "when it is as the RFC asks, take it off the list").toEqual(asListed);
    expect(answers.verdict).not.toBe(asked.verdict);
  });
});

test("the node is unharmed", () => expectUnharmed(node));
