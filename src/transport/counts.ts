/** What each transport counts of its deliveries; plain numbers, read at scrape. */
export interface DeliveryCounts {
  /** Events handed to connections; one that falls behind does not get its last ones. */
  delivered: number;
  deliveredBytes: number;
}

/** What each transport counts of its connections. */
export interface ConnectionCounts {
  opened: number;
  /** By our code, or `client` when it closed, or `lost` when there was no close frame. */
  readonly closed: { add(reason: string): void };
}
