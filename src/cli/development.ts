import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Beside where the node was started, so that `token`, `publish` and `subscribe` of another terminal find it. */
const PATH = ".tidegate/development-secret";

/**
 * The secret of development mode: generated once, kept for its owner's eyes. Where nothing can be written it lives
 * as long as the process.
 */
export function developmentSecret(): string {
  try {
    return readFileSync(PATH, "utf8").trim();
  } catch {
    const secret = randomBytes(32).toString("base64url");
    try {
      mkdirSync(dirname(PATH), { recursive: true });
      writeFileSync(PATH, `${secret}\n`, { mode: 0o600 });
    } catch {
      // A read-only folder: the node still works, and prints a token.
    }
    return secret;
  }
}
