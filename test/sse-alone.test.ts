import { expect } from "vitest";
import { until } from "../deploy/local/process.ts";
import { EventStream, streamUrl } from "./support/event-stream.ts";
import { type GatewayNode, type Stage, test } from "./support/servers.ts";
import { token } from "./support/token.ts";

/* A client whose proxy lets no WebSocket through: event streams and the HTTP API do all that it needs. */

/** One user without a WebSocket. */
class Visitor {
  readonly #node: GatewayNode;
  readonly #token: string;

  constructor(node: GatewayNode, sub: string) {
    this.#node = node;
    this.#token = token({ sub, claims: { info: { name: sub } } });
  }

  async listen(stage: Stage, channels: string[], lastEventId?: string): Promise<EventStream> {
    const url = streamUrl(this.#node.url, ...channels);
    return stage.add(await EventStream.open(url, { token: this.#token, lastEventId }));
  }

  async ask(
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.#node.url}/v1/channels/${path}`, {
      headers: { authorization: `Bearer ${this.#token}`, "content-type": "application/json", ...headers },
      ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
    });
    expect(response.ok, path).toBe(true);
    return (await response.json()) as Record<string, unknown>;
  }
}

test("subscribes, publishes, is there, reads the history and comes back, without a WebSocket", async ({
  stage,
}) => {
  const redis = await stage.redis();
  const env = { TIDEGATE_PRESENCE: "room-*" };
  const nodes = await Promise.all(["node1", "node2"].map((id) => stage.node({ redis, id, env })));
  const [first, second] = nodes as [GatewayNode, GatewayNode];
  const ann = new Visitor(first, "ann");
  const bob = new Visitor(second, "bob");
  const channels = ["room-1", "news"];

  const heard = await ann.listen(stage, channels);
  const bobs = await bob.listen(stage, ["room-1"]);
  const joined = await heard.next(({ data }) => data?.includes("bob") ?? false);
  expect(joined.event).toBe("$join");

  const published = await ann.ask(
    "room-1/events",
    { type: "chat", data: "hello" },
    { "idempotency-key": "k1" },
  );
  const repeated = await ann.ask(
    "room-1/events",
    { type: "chat", data: "hello" },
    { "idempotency-key": "k1" },
  );
  expect(repeated).toMatchObject({ id: published.id, repeated: true });
  const block = await bobs.next("chat");
  expect([block.id, block.data]).toEqual([published.id, '"hello"']);
  const own = await heard.next("chat");
  expect(JSON.parse(own.data ?? "")).toMatchObject({ sender: "ann", data: "hello", id: published.id });

  const { members } = await bob.ask("room-1/presence");
  expect(members).toMatchObject([{ user: "ann" }, { user: "bob" }]);

  const { lastId } = heard;
  heard.stop();
  await bob.ask("room-1/events", { data: "are you there?" });
  await bob.ask("news/events", { data: "rain" });
  const back = await new Visitor(second, "ann").listen(stage, channels, lastId);
  await until("all is there", () => back.data.length >= 2);
  const data = back.data as { type: string; data: unknown }[];
  expect(data.filter(({ type }) => type === "message").map((one) => one.data)).toEqual(
    expect.arrayContaining(["are you there?", "rain"]),
  );
  expect(data.filter(({ type }) => type !== "message")).toEqual([]); // she was waited for

  const history = await ann.ask(`room-1/events?since=${String(published.id)}`, undefined, {
    accept: "application/json",
  });
  expect(history.events).toMatchObject([{ data: "are you there?", sender: "bob" }]);

  bobs.stop();
  const left = await back.next("$leave", 20_000);
  expect(JSON.parse(left.data ?? "")).toMatchObject({ channel: "room-1", data: { user: "bob" } });
});
