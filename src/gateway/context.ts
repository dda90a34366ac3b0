import type { Logger } from "pino";
import type { Uws } from "../transport/uws.ts";

/** What a gateway is given by the process that it is in. */
export interface GatewayContext {
  readonly uws: Uws;
  readonly log: Logger;
  readonly version: string;
  /** The node's name, unique in the fleet. */
  readonly node: string;
  /** Something that no waiting mends: the process should say so and exit. */
  onFatal(error: Error): void;
}
