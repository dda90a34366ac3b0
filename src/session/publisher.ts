import { type Grant, may } from "../auth/grants.ts";
import type { Identity } from "../auth/identity.ts";
import { type EncodedEvent, encode } from "../hub/encoded-event.ts";
import { isReservedChannel } from "../protocol/channel.ts";
import { type Code, RequestError } from "../protocol/codes.ts";
import { timestamp } from "../protocol/timestamp.ts";

/** An event that somebody wants published. */
export interface Publication {
  readonly channel: string;
  readonly type: string;
  /** JSON text, verbatim, or the bytes of a binary payload. */
  readonly data: string | Uint8Array;
  /** Who it should say it is from; needs `publish_as`. */
  readonly sender: string | undefined;
  /** The connection that must not hear it. */
  readonly except: string | undefined;
}

/** Carries an event to every node, this one included. */
export interface Outlet {
  /** @returns how many nodes heard it @throws {RequestError} backplane_unavailable */
  publish(event: EncodedEvent): Promise<number>;
}

/** The one way in for events from clients and from the API: authorise, stamp, encode once, hand to the backplane. */
export class Publisher {
  readonly #outlet: Outlet;
  readonly #rules: readonly Grant[];
  readonly #count: (result: "ok" | Code) => void;

  constructor(outlet: Outlet, rules: readonly Grant[], count: (result: "ok" | Code) => void) {
    this.#outlet = outlet;
    this.#rules = rules;
    this.#count = count;
  }

  /** @returns how many nodes heard it @throws {RequestError} forbidden, reserved_channel, backplane_unavailable */
  async publish(identity: Identity, event: Publication): Promise<number> {
    try {
      const listeners = await this.#publish(identity, event);
      this.#count("ok");
      return listeners;
    } catch (error) {
      this.#count(error instanceof RequestError ? error.code : "internal");
      throw error;
    }
  }

  async #publish(identity: Identity, event: Publication): Promise<number> {
    const { channel } = event;
    if (isReservedChannel(channel)) throw new RequestError("reserved_channel", undefined, { channel });
    authorise(identity, "publish", channel, this.#rules);
    const head = {
      type: event.type,
      channel,
      timestamp: timestamp(Date.now()),
      sender: this.#sender(identity, event),
    };
    return await this.#outlet.publish(encode(head, event.data, event.except));
  }

  /** Everybody speaks for themselves; a backend with `publish_as` may speak for others. */
  #sender(identity: Identity, { channel, sender = identity.user }: Publication): string {
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
