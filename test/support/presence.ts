import type { Attendance } from "../../src/protocol/presence.ts";
import { type Ear, settle, textOf } from "./backplanes.ts";
import type { Client, Frame } from "./client.ts";
import type { GatewayNode, Stage } from "./servers.ts";
import { token } from "./token.ts";

export function here(channel: string, user: string, info?: string): Attendance {
  return { channel, user, info, here: true };
}

export function gone(channel: string, user: string): Attendance {
  return { channel, user, info: undefined, here: false };
}

export interface Event {
  type: string;
  id: string;
  data: { user: string; info?: unknown };
}

/** `$join ann`, `$leave bob`: what was heard of a channel. */
export async function heard(ear: Ear, channel = "room"): Promise<string[]> {
  await settle(ear);
  return ear.heard
    .filter((event) => event.channel === channel)
    .map((event) => JSON.parse(textOf(event)) as Event)
    .map(
      ({ type, data }) => `${type} ${data.user}${data.info === undefined ? "" : JSON.stringify(data.info)}`,
    );
}

export async function usersIn({ backplane }: Ear, channel = "room"): Promise<string[]> {
  return (await backplane.members(channel, undefined, 1_000)).members.map(({ user }) => user);
}

export const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A tab of somebody. */
export async function tab(
  stage: Stage,
  node: GatewayNode,
  user: string,
  channel: string,
  info?: unknown,
): Promise<Client> {
  const claims = info === undefined ? {} : { info };
  const client = await stage.client(node.webSocketUrl, { token: token({ sub: user, claims }) });
  await client.request({ type: "subscribe", channel });
  return client;
}

/** Takes its leave, as a browser does. */
export async function close(...clients: Client[]): Promise<void> {
  for (const client of clients) client.socket.close(1000);
  await Promise.all(clients.map(({ closed }) => closed));
}

/** `$join ann`, `$leave bob`: what it heard of others. */
export function changes(client: Client, channel: string, but = "watcher"): string[] {
  return client
    .events(channel)
    .filter(({ type }) => type.startsWith("$"))
    .map(({ type, data }) => `${type} ${(data as { user: string }).user}`)
    .filter((change) => !change.endsWith(` ${but}`));
}

export async function members(client: Client, channel: string): Promise<string[]> {
  const answer = await client.request({ type: "presence", channel });
  return (answer.members as { user: string }[]).map(({ user }) => user);
}

export async function get(
  node: GatewayNode,
  path: string,
  mine = token(),
): Promise<{ status: number; body: Frame }> {
  const response = await fetch(`${node.url}/v1/channels/${path}`, {
    headers: { authorization: `Bearer ${mine}` },
  });
  return { status: response.status, body: (await response.json()) as Frame };
}
