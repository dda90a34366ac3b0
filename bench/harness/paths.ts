import { fileURLToPath } from "node:url";

const inRepository = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

export const BENCH = inRepository("bench");
export const RESULTS = inRepository("bench/results");
export const TIDEGATE = inRepository("dist/main.js");
/** Below `node_modules`, so that compiled programs resolve packages as their sources do, and nothing is left in the tree. */
export const COMPILED = inRepository("node_modules/.cache/tidegate-bench");
export const LOAD = `${COMPILED}/load/main.js`;
export const CONTROL = `${COMPILED}/control/server.js`;
