/** The role of the store that reads rate limit keys with their token buckets, and sets their rates. */
import type {
  BucketState,
  KeyPause,
  Rate,
  RateKeyState,
  TokenBucket,
} from "../domain/tasks/limits/rate-limit.ts";

export type { BucketState, RateKeyState } from "../domain/tasks/limits/rate-limit.ts";

/** A key with its buckets and what waits for it. */
export interface RateKeyRow extends RateKeyState {
  /** Tasks that could start but for a token or a worker; of a class at most `MAX_WAITING` are counted. */
  readonly waiting: number;
  /** Since when the first of them in claim order has been ready. */
  readonly waitingSince: Date | undefined;
}

/** The rate of a queue with its bucket. */
export interface QueueRate {
  readonly bucket: TokenBucket;
  readonly reason: string;
  readonly time: Date;
}

/** Keys that are paused: a list of bounded length, and the count of all. */
export interface PausedKeys {
  readonly count: number;
  readonly pauses: readonly (KeyPause & { readonly key: string })[];
}

/** A pause that is asked for. */
export interface WantedPause {
  readonly key: string;
  readonly ms: number;
  readonly reason: string;
  /** The attempt that asks and its worker in words, with its session, which must be this scheduler's; undefined for an operator. */
  readonly by?:
    | { readonly name: string; readonly sessionId: number; readonly schedulerId: string }
    | undefined;
}

/** What became of it: the pause that is in force now, or why there is none. */
export type PauseResult = { readonly leftMs: number } | "unknown_key" | "session_over";

/** Rate limits. */
export interface RateLimitStore {
  /** The buckets of the operator's rates, and those of queues: all that there are. */
  rateOverrides(): Promise<BucketState[]>;
  /** Keys that are paused, with the milliseconds that are left. */
  pausedKeys(): Promise<{ readonly key: string; readonly leftMs: number }[]>;
  /** The pauses of keys, those that began first, and how many keys are paused. */
  keyPauses(limit: number): Promise<PausedKeys>;
  /** Pauses a key. Of several pauses the one that ends last counts; other schedulers get a hint. */
  pauseKey(pause: WantedPause): Promise<PauseResult>;
  /** Ends the pause of a key; false when no task ever had the key. */
  resumeKey(key: string, reason: string): Promise<boolean>;
  /** The rate of each queue that has one. */
  queueRates(): Promise<ReadonlyMap<string, QueueRate>>;
  /** Sets the rate of a queue for this reason, with a full bucket; ends it when it is undefined. Makes a missing queue. */
  setQueueRate(
    queue: string,
    rate: { readonly rate: Rate; readonly reason: string } | undefined,
  ): Promise<void>;
  /** Keys by name that tasks wait for, whose buckets are not full, or that have a rate of the operator's. */
  listRateLimits(filter: {
    /** Only this key, whatever it is used for. */
    readonly key?: string | undefined;
    readonly afterKey?: string | undefined;
    readonly limit: number;
  }): Promise<RateKeyRow[]>;
  /** Sets the rate of a key for this reason, with a full bucket; takes it back when it is undefined. */
  setRateLimit(
    key: string,
    rate: { readonly rate: Rate; readonly reason: string } | undefined,
  ): Promise<void>;
}
