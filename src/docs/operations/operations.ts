import { ADMINISTRATION } from "./administration.ts";
import { EVENTS } from "./events.ts";
import type { Operation } from "./operation.ts";
import { PRESENCE } from "./presence.ts";
import { PUBLISHING } from "./publishing.ts";
import { SERVING } from "./serving.ts";

/** Everything that a node offers over HTTP. */
export const OPERATIONS: readonly Operation[] = [
  ...PUBLISHING,
  ...EVENTS,
  ...PRESENCE,
  ...ADMINISTRATION,
  ...SERVING,
];
