import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Tests start dist/main.js: build it once here, not in each worker.
    globalSetup: ["bin/build.js"],
    pool: "forks",
    // A test file runs Redis, HAProxy and several nodes of its own, and mostly waits for them.
    maxWorkers: Math.max(2, Math.floor(availableParallelism() / 2)),
    testTimeout: 20_000,
    hookTimeout: 60_000,
  },
});
