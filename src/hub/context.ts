import type { LossReason } from "../protocol/frames.ts";
import type { Edge } from "./edge.ts";
import type { Feed } from "./feed.ts";
import type { RecentBudget } from "./recent.ts";

/** What a channel needs of its hub. */
export interface ChannelContext {
  readonly feed: Feed;
  readonly budget: RecentBudget;
  readonly counts: ContinuityCounts;
  readonly edges: readonly Edge[];
}

/** What is counted where it happens; plain numbers, read at scrape. */
export interface ContinuityCounts {
  /** Times that an event did not belong behind the one before it, or had not come at all. */
  holes: number;
  /** Reads of a channel's history. */
  historyReads: number;
  readonly continuityLost: { add(reason: LossReason): void };
}
