import { EventStream, type EventStreamOptions } from "./event-stream.ts";
import type { GatewayNode, Stage } from "./servers.ts";
import { token } from "./token.ts";

/** Whose pages a stream node lets in. */
export const ORIGIN = "https://app.example.com";

/** A node with whatever a stream can be refused for, and a heartbeat that a test need not wait for. */
export async function streamNode(stage: Stage): Promise<GatewayNode> {
  return await stage.node({
    env: {
      TIDEGATE_ALLOWED_ORIGINS: ORIGIN,
      TIDEGATE_TOKEN_COOKIE: "session",
      TIDEGATE_HEARTBEAT: "5s",
      TIDEGATE_PONG_TIMEOUT: "1s",
    },
  });
}

/** A stream that is open, for as long as the stage stands. */
export async function open(
  stage: Stage,
  url: string,
  options: EventStreamOptions = { token: token() },
): Promise<EventStream> {
  return stage.add(await EventStream.open(url, options));
}
