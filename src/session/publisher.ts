import { type Grant, may } from "../auth/grants.ts";
import type { Identity } from "../auth/identity.ts";
import { isReservedChannel } from "../protocol/channel.ts";
import { type Code, RequestError } from "../protocol/codes.ts";
import type { Publication, Published } from "../protocol/publication.ts";

/** An event that somebody wants published. */
export interface Request extends Omit<Publication, "key"> {
  /** Who it should say it is from; needs `publish_as`. */
  readonly sender: string | undefined;
  /** The idempotency key: the publisher's own, per channel. */
  readonly key: string | undefined;
}

/** Carries an event to every node, this one included, and keeps it where its channel has a history. */
export interface Outlet {
  /** @throws {RequestError} key_reused, backplane_unavailable */
  publish(event: Publication): Promise<Published>;
}

/** The one way in for events from clients and from the API: authorise, say who it is from, hand to the backplane. */
export class Publisher {
  readonly #outlet: Outlet;
  readonly #rules: readonly Grant[];
  readonly #count: (result: "ok" | Code) => void;

  constructor(outlet: Outlet, rules: readonly Grant[], count: (result: "ok" | Code) => void) {
    this.#outlet = outlet;
    this.#rules = rules;
    this.#count = count;
  }

  /** @throws {RequestError} forbidden, reserved_channel, key_reused, backplane_unavailable */
  async publish(identity: Identity, event: Request): Promise<Published> {
    try {
      const published = await this.#publish(identity, event);
      this.#count("ok");
      return published;
    } catch (error) {
      this.#count(error instanceof RequestError ? error.code : "internal");
      throw error;
    }
  }

  async #publish(identity: Identity, event: Request): Promise<Published> {
    const { channel, type, data, except, traceparent } = event;
    if (isReservedChannel(channel)) throw new RequestError("reserved_channel", undefined, { channel });
    authorise(identity, "publish", channel, this.#rules);
    const sender = this.#sender(identity, event);
    const key = event.key === undefined ? undefined : { name: event.key, scope: identity.user };
    return await this.#outlet.publish({ channel, type, data, sender, except, traceparent, key });
  }

  /** Everybody speaks for themselves; a backend with `publish_as` may speak for others. */
  #sender(identity: Identity, { channel, sender = identity.user }: Request): string {
    if (sender !== identity.user) authorise(identity, "publish_as", channel, this.#rules);
    return sender;
  }
}

/** @throws {RequestError} forbidden, with what would have granted it as its hint */
export function authorise(
  identity: Identity,
  action: Parameters<typeof may>[1],
  channel: string,
  rules: readonly Grant[],
): void {
  const decision = may(identity, action, channel, rules);
  if (decision.allowed) return;
  throw new RequestError("forbidden", decision.reason, {
    channel,
    hint: `would be granted by ${decision.cure}`,
  });
}

/** As a client or a caller is told. */
export function publishedMembers({ id, listeners, repeated }: Published): {
  id?: string;
  listeners: number;
  repeated?: true;
} {
  return { ...(id === undefined ? {} : { id }), listeners, ...(repeated ? { repeated } : {}) };
}
