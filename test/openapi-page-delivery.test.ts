import { beforeAll, describe, expect, it } from "vitest";
import { type GatewayNode, sharedStage } from "./support/servers.ts";

const stage = sharedStage();
let node: GatewayNode;

beforeAll(async () => {
  node = await stage.node();
});

type Headers = Record<string, string>;

/** The client unpacks by itself; unless told otherwise it is one that takes nothing packed. */
function ask(path: string, headers: Headers = {}, method = "GET"): Promise<Response> {
  return fetch(node.url + path, { method, headers: { "Accept-Encoding": "identity", ...headers } });
}

/** A document that has not changed: an empty answer, of no length and no type. */
async function expectUnchanged(answer: Response, etag: string): Promise<void> {
  expect([answer.status, answer.statusText]).toEqual([304, "Not Modified"]);
  const { headers } = answer;
  expect(headers.get("etag")).toBe(etag);
  expect([headers.get("content-length"), headers.get("content-type")]).toEqual([null, null]);
  expect(headers.get("cache-control")).toBe("no-cache");
  expect(headers.get("vary")).toBe("Accept-Encoding, Origin");
  expect(await answer.text()).toBe("");
}

describe.each(["/openapi.json", "/asyncapi.json", "/docs"])("%s", (path) => {
  it("is sent again only when it has changed", async () => {
    const first = await ask(path);
    const etag = first.headers.get("etag") ?? "";
    expect([first.status, etag]).toEqual([200, expect.stringMatching(/^"[\w-]{43}"$/)]);
    expect(first.headers.get("cache-control")).toBe("no-cache");
    const text = await first.text();
    for (const held of [etag, `W/${etag}`, `"older", ${etag}`, "*"])
      await expectUnchanged(await ask(path, { "If-None-Match": held }), etag);
    await expectUnchanged(await ask(path, { "If-None-Match": etag }, "HEAD"), etag);
    const changed = await ask(path, { "If-None-Match": '"older"' });
    expect([changed.status, await changed.text()]).toEqual([200, text]);
  });

  it("is sent packed to who takes that, and to nobody else", async () => {
    const plain = await (await ask(path)).text();
    for (const accepted of ["gzip", "br, gzip", "deflate, gzip;q=0.5, *;q=0", "GZIP ; q=1.0"]) {
      const answer = await ask(path, { "Accept-Encoding": accepted });
      expect([accepted, answer.headers.get("content-encoding")]).toEqual([accepted, "gzip"]);
      expect(Number(answer.headers.get("content-length"))).toBeLessThan(plain.length / 4);
      expect(await answer.text()).toBe(plain);
    }
    for (const accepted of ["identity", "gzip;q=0", "br, gzip; q=0.000", "gzipped", "*"]) {
      const answer = await ask(path, { "Accept-Encoding": accepted });
      expect([accepted, answer.headers.get("content-encoding")]).toEqual([accepted, null]);
      expect(await answer.text()).toBe(plain);
    }
  });

  it("is told apart, packed and plain, by validators and caches", async () => {
    const [plain, packed] = await Promise.all([ask(path), ask(path, { "Accept-Encoding": "gzip" })]);
    const etags = [plain, packed].map(({ headers }) => headers.get("etag") ?? "");
    expect(etags[0]).not.toBe(etags[1]);
    for (const { headers } of [plain, packed]) expect(headers.get("vary")).toBe("Accept-Encoding, Origin");
    const both = { "Accept-Encoding": "gzip", "If-None-Match": etags[0] ?? "" };
    expect((await ask(path, both)).status).toBe(200);
    await Promise.all([plain.text(), packed.text()]);
    await expectUnchanged(await ask(path, { ...both, "If-None-Match": etags[1] ?? "" }), etags[1] ?? "");
  });

  it("is nothing for search engines", async () => {
    expect((await ask(path)).headers.get("x-robots-tag")).toBe("noindex");
  });
});
