/** An event to publish, checked: its id and its time are given on the way. */
export interface Publication {
  readonly channel: string;
  readonly type: string;
  /** JSON text, verbatim, or the bytes of a binary payload. */
  readonly data: string | Uint8Array;
  readonly sender: string | undefined;
  /** The connection that must not hear it. */
  readonly except: string | undefined;
  /** Of the publisher's trace. */
  readonly traceparent?: string | undefined;
  /** The idempotency key, and whose it is. */
  readonly key: { readonly name: string; readonly scope: string } | undefined;
}

export interface Published {
  /** Undefined on a channel that keeps no history. */
  readonly id: string | undefined;
  /** How many nodes heard it. */
  readonly listeners: number;
  /** The key had been used for the same before: nothing was published now. */
  readonly repeated: boolean;
}
