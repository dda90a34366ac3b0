import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanEnvironment, GatewayNode } from "../../deploy/local/node.ts";
import { Process, root, until } from "../../deploy/local/process.ts";
import type { RedisServer, Stage } from "./servers.ts";
import { SECRET } from "./token.ts";

/** One change to the built code, which takes a check out. */
export interface Mutation {
  /** Below dist/. */
  readonly file: string;
  /** Stands there exactly once. */
  readonly from: string;
  readonly to: string;
}

/** @throws {Error} when what is to be changed is not there exactly once: the mutation needs an update */
export function mutate(text: string, { file, from, to }: Mutation): string {
  const found = text.split(from).length - 1;
  if (found !== 1) throw new Error(`dist/${file} has ${found} times, not once: ${from}`);
  return text.replace(from, () => to);
}

/** A node of a copy of dist/ that has been changed. Without mutations it is the code as it is. */
export async function startMutant(
  stage: Stage,
  redis: RedisServer,
  mutations: readonly Mutation[],
  settings: Record<string, string> = {},
): Promise<GatewayNode> {
  const home = join(root, ".tidegate/mutants");
  mkdirSync(home, { recursive: true });
  const copy = mkdtempSync(join(home, "m"));
  stage.add({ stop: () => rmSync(copy, { recursive: true, force: true }) });
  cpSync(join(root, "dist"), join(copy, "dist"), { recursive: true });
  cpSync(join(root, "package.json"), join(copy, "package.json"));
  for (const mutation of mutations) {
    const path = join(copy, "dist", mutation.file);
    writeFileSync(path, mutate(readFileSync(path, "utf8"), mutation));
  }
  const env = {
    ...cleanEnvironment(),
    TIDEGATE_PORT: "0",
    TIDEGATE_ADMIN_PORT: "0",
    TIDEGATE_NODE_ID: "mutant",
    TIDEGATE_JWT_SECRET: SECRET,
    TIDEGATE_ALLOWED_ORIGINS: "none",
    TIDEGATE_DRAIN_TIME: "0s",
    TIDEGATE_REDIS_URL: redis.url,
    ...settings,
  };
  const child = stage.add(
    new Process("mutant", process.execPath, [join(copy, "dist/main.js"), "serve"], { env }),
  );
  const { url, admin } = JSON.parse(await child.line(/"msg":"listening"/)) as { url: string; admin: string };
  const node = new GatewayNode(child, "mutant", url, admin);
  await until("the mutant is ready", () => node.isReady());
  return node;
}
