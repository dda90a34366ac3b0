import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test as plain } from "vitest";
import { Process, root, until } from "../deploy/local/process.ts";
import { Client } from "./support/client.ts";
import { test } from "./support/servers.ts";
import { SECRET, token } from "./support/token.ts";

/* A node of the release before runs beside one of this release, on one Redis, as in any rolling update. */

/** The last commit whose nodes know no history. */
const BEFORE = "34d94e4";
const directory = join(root, ".tidegate", "release-before");

const has = (() => {
  try {
    execFileSync("git", ["cat-file", "-e", `${BEFORE}^{commit}`], { cwd: root, stdio: "ignore" });
    return true;
  } catch {
    return false; // a shallow clone
  }
})();

beforeAll(() => {
  if (!has) return;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const archive = execFileSync(
    "git",
    ["archive", BEFORE, "src", "bin", "package.json", "tsconfig.json", "tsconfig.build.json"],
    {
      cwd: root,
      maxBuffer: 2 ** 26,
    },
  );
  execFileSync("tar", ["-x", "-C", directory], { input: archive });
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  execFileSync(
    process.execPath,
    [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"],
    {
      cwd: directory,
    },
  );
}, 120_000);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

plain.skipIf(has)("the release before is not in this clone", () => {
  expect(existsSync(join(directory, "dist"))).toBe(false);
});

test.skipIf(!has)(
  "events go both ways between it and this one, each once and in order",
  async ({ stage }) => {
    const redis = await stage.redis();
    const now = await stage.node({ id: "now", redis });
    const env = {
      PATH: process.env.PATH,
      TIDEGATE_JWT_SECRET: SECRET,
      TIDEGATE_ALLOWED_ORIGINS: "none",
      TIDEGATE_DRAIN_TIME: "0s",
      TIDEGATE_REDIS_URL: redis.url,
      TIDEGATE_NODE_ID: "before",
      TIDEGATE_PORT: "0",
      TIDEGATE_ADMIN_PORT: "0",
    };
    const before = stage.add(
      new Process("before", process.execPath, [join(directory, "bin/tidegate.js"), "serve"], { env }),
    );
    const { url } = JSON.parse(await before.line(/"url":"http/)) as { url: string };
    const clients = await Promise.all(
      [now.webSocketUrl, `${url.replace("http", "ws")}/ws`].map(async (address) => {
        await until("the node takes clients", async () => {
          try {
            (await Client.connect(address, { token: token() })).stop();
            return true;
          } catch {
            return false;
          }
        });
        const client = await stage.client(address, { token: token(), channels: ["chat"] });
        await client.next("subscribed");
        return client;
      }),
    );
    const published = [];
    for (let i = 0; i < 20; i++) {
      const publisher = clients[i % 2] as Client;
      await publisher.request({ type: "publish", channel: "chat", data: i });
      published.push(i);
    }
    for (const client of clients) {
      await until("all events came", () => client.events("chat").length >= published.length);
      expect(client.events("chat").map(({ data }) => data)).toEqual(published);
      expect(client.frames.filter(({ resumed }) => resumed === false)).toEqual([]);
    }
  },
);
