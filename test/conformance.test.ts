import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type GatewayNode, startNode } from "../deploy/local/node.ts";
import { OPTIONS } from "../src/config/options.ts";
import { CODES } from "../src/protocol/codes.ts";
import { matches, runTranscript, type Step, type TranscriptFile } from "./tools/transcript.ts";

const SECRET = "a-secret-of-the-transcripts-with-32-bytes-or-more";

const folder = new URL("../conformance/", import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
const files = names.map((name) => ({
  name,
  file: JSON.parse(readFileSync(new URL(name, folder), "utf8")) as TranscriptFile,
}));

/** What all files count on, and what this one needs. */
function environment({ server = {} }: TranscriptFile): Record<string, string> {
  const options = {
    jwt_secret: SECRET,
    allowed_origins: "https://app.example.com",
    token_cookie: "session",
    grants: '{"public:*":["subscribe"]}',
    drain_time: "0s",
    ...server,
  };
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [`TIDEGATE_${name.toUpperCase()}`, value]),
  );
}

for (const { name, file } of files) {
  // The files run side by side, on a server each; the transcripts of one file share it, one after the other.
  describe.concurrent(`conformance/${name}`, () => {
    let node: GatewayNode;

    beforeAll(async () => {
      // Without Redis a node is not ready, and that is what one of the files is about.
      const waitReady = file.server?.redis_url === undefined;
      node = await startNode({ id: name.replace(".json", ""), env: environment(file), waitReady });
    });
    afterAll(() => node?.stop());

    for (const transcript of file.transcripts) {
      it.sequential(transcript.name, async () => {
        await runTranscript(file, transcript, {
          url: node.url,
          secret: SECRET,
          stop: () => node.kill("SIGTERM"),
        });
      });
    }
  });
}

describe("the transcripts", () => {
  const all = files.flatMap(({ file }) => file.transcripts);

  it("ask for options of a server that exist", () => {
    for (const { file } of files)
      for (const name of Object.keys(file.server ?? {})) expect(OPTIONS).toHaveProperty(name);
  });

  it("are each named once", () => {
    const seen = all.map((transcript) => transcript.name);
    expect(seen.filter((name, i) => seen.indexOf(name) !== i)).toEqual([]);
  });

  it("meet every code that a client can bring about", () => {
    const met = new Set(all.flatMap(({ steps }) => steps.flatMap(codesIn)));
    // A hundred thousand revocations; a Redis that goes away while it is needed; a client that stops reading; a bug.
    const others = ["too_many_revocations", "backplane_unavailable", "slow", "internal"];
    expect(Object.keys(CODES).filter((code) => !met.has(code))).toEqual(others);
  });

  it("hold the client frames of the articles as they stand there", () => {
    const sent = all.flatMap(({ steps }) => steps.map((step) => step.send_text));
    expect(sent).toContain('{ "type": "subscribe", "channel": "chat-123" }');
    expect(sent).toContain('{ "type": "message", "text": "Hi back!" }');
  });
});

/** The codes that a step expects: of errors, of closes, of refusals. */
function codesIn(step: Step): string[] {
  const text = JSON.stringify([step.expect, step.expect_in_any_order, step.connect?.refused, step.answer]);
  const codes = [...text.matchAll(/"code":"(\w+)"/g)].map((match) => match[1] ?? "");
  return step.expect_close?.reason === undefined ? codes : [...codes, step.expect_close.reason];
}

describe("comparing", () => {
  it.each<[unknown, unknown]>([
    [{ a: 1, b: 2 }, { a: 1 }],
    [{ a: { b: [1, { c: 2, d: 3 }] } }, { a: { b: [1, { c: 2 }] } }],
    [{ a: null }, { a: "$any" }],
    [{}, { a: "$absent" }],
    [{ a: "2026-03-08T14:30:00.123Z" }, { a: "$timestamp" }],
    [{ a: 5 }, { a: { $between: [5, 6] } }],
  ])("finds that %j is %j", (found, expected) => {
    expect(matches(found, expected)).toBe(true);
  });

  it.each<[unknown, unknown]>([
    [{ a: 1 }, { a: 1, b: 2 }],
    [{ a: [1, 2] }, { a: [1] }],
    [{ a: "1" }, { a: 1 }],
    [{}, { a: "$any" }],
    [{ a: null }, { a: "$absent" }],
    [{ a: "" }, { a: "$string" }],
    [{ a: 1.5 }, { a: "$integer" }],
    [{ a: "today" }, { a: "$timestamp" }],
    [{ a: 7 }, { a: { $between: [5, 6] } }],
    [[], {}],
    [null, { a: "$absent" }],
  ])("finds that %j is not %j", (found, expected) => {
    expect(matches(found, expected)).toBe(false);
  });
});
