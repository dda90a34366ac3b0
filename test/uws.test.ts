import { describe, expect, it } from "vitest";
import { explain, loadUws, platform } from "../src/transport/uws.ts";

describe("the addon", () => {
  it("loads here, and names the package that it came in", async () => {
    const uws = await loadUws();
    expect(uws.App).toBeTypeOf("function");
    expect(uws.name).toMatch(/^\S+@\d+\.\d+\.\d+$/);
  });

  it("gets room for tokens in headers before it is loaded", async () => {
    await loadUws();
    expect(Number(process.env.UWS_HTTP_MAX_HEADERS_SIZE)).toBeGreaterThanOrEqual(16_384);
  });
});

describe("a platform that no binary fits", () => {
  const node24 = { os: "linux", arch: "x64", node: "v24.9.0", abi: "137", glibc: "2.36" };
  const cause = new Error("Cannot find module './bin/uws_linux_x64_137.node'\nRequire stack:\n- elsewhere");

  it("is told what was found, what is needed and what to try", () => {
    const lines = explain(node24, cause).split("\n");
    expect(lines).toContainEqual("  found:  linux-x64, Node v24.9.0 (ABI 137), glibc 2.36");
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}needs: .*Node 20 or 22, glibc >= 2\.27/));
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}try: .*Node 22 LTS/));
    expect(lines.at(-1)).toBe("  cause:  Cannot find module './bin/uws_linux_x64_137.node'");
  });

  it("is told when its C library is not glibc", () => {
    expect(explain({ ...node24, glibc: undefined }, cause)).toContain("no glibc (musl?)");
  });

  it("is described as it is", () => {
    expect(platform()).toMatchObject({
      os: process.platform,
      arch: process.arch,
      abi: process.versions.modules,
    });
  });
});
