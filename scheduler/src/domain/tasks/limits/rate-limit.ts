/** Rate limits: how many tasks with the same key may start within a period, as token buckets. */

/** A rate: a bucket of `burst` tokens that gets `limit` new ones in every period. */
export interface Rate {
  readonly limit: number;
  readonly periodMs: number;
  readonly burst: number;
}

/** A rate limit of a task. */
export interface RateLimit extends Rate {
  readonly key: string;
}

/** The limits of a task in one order: tasks with the same keys and rates share a class. */
export function inRateOrder(limits: readonly RateLimit[]): RateLimit[] {
  return [...limits].sort((a, b) => (a.key < b.key ? -1 : 1));
}

/**
 * A bucket. Its whole state is the debt: how long it takes until it is full when nothing more starts. So a refill writes
 * nothing, and a full bucket has no state.
 */
export interface TokenBucket extends Rate {
  /** True for the operator's rate, which replaces those of the tasks. */
  readonly overrides: boolean;
  readonly debtMs: number;
  /** How long the key is paused still; 0 when it is not. */
  readonly pausedMs: number;
}

/** A bucket of a key, as the store has it after a claim. */
export interface BucketState extends TokenBucket {
  readonly key: string;
}

/** Longest that it may take to fill an empty bucket, and longest period, milliseconds. */
export const MAX_FILL_MS = 366 * 24 * 3_600_000;

/** Sums of fractions of milliseconds may fall short of a whole token by this. */
const ROUNDING = 1e-6;

/** From one token to the next, milliseconds. */
export function tokenIntervalMs({ limit, periodMs }: Rate): number {
  return periodMs / limit;
}

/** How long it takes to fill an empty bucket, milliseconds. */
export function fillMs(rate: Rate): number {
  return rate.burst * tokenIntervalMs(rate);
}

/** Whole tokens in a bucket with this debt. */
export function tokenCount(rate: Rate, debtMs: number): number {
  const missing = Math.max(0, debtMs) / tokenIntervalMs(rate);
  return Math.max(0, Math.floor(rate.burst - missing + ROUNDING));
}

/** Until the bucket holds a token, milliseconds; 0 when it does. */
export function untilTokenMs(rate: Rate, debtMs: number): number {
  if (tokenCount(rate, debtMs) > 0) return 0;
  return Math.max(0, debtMs - (rate.burst - 1) * tokenIntervalMs(rate));
}

/**
 * The debt after so many starts. It does not grow past an empty bucket: tasks of another rate of the same key may start
 * while this bucket is empty.
 */
export function debtAfter(rate: Rate, debtMs: number, starts: number): number {
  return Math.min(fillMs(rate), Math.max(0, debtMs) + starts * tokenIntervalMs(rate));
}

const QUEUE = "queue\n";

/** The key of the bucket that all tasks of a queue share. Keys of tasks have no line breaks. */
export function queueRateKey(queue: string): string {
  return `${QUEUE}${queue}`;
}

/** The queue that a key is the bucket of; undefined for a key of tasks. */
export function queueOfRateKey(key: string): string | undefined {
  return key.startsWith(QUEUE) ? key.slice(QUEUE.length) : undefined;
}

/** The same for equal rates, and different for others. */
export function rateId({ limit, periodMs, burst }: Rate): string {
  return `${limit}/${periodMs}/${burst}`;
}

/** The operator's rate of a key. */
export interface RateOverride {
  /** Why, and by whom. */
  readonly reason: string;
  readonly time: Date;
}

/** A key with what the store has of it. */
export interface RateKeyState {
  readonly key: string;
  /** The operator's first, then those of the tasks. */
  readonly buckets: readonly TokenBucket[];
  readonly override: RateOverride | undefined;
  /** Undefined while it is not paused. */
  readonly pause: KeyPause | undefined;
}

/** A pause of a key: until its end no task with the key is assigned. */
export interface KeyPause {
  readonly until: Date;
  readonly leftMs: number;
  readonly reason: string;
  /** The attempt that asked and its worker; undefined for an operator, whom the reason names. */
  readonly by: string | undefined;
  readonly time: Date;
}

/** Longest pause of a key: what lasts longer is a matter of its rate, or of its queue. */
export const MAX_PAUSE_MS = 7 * 24 * 3_600_000;

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
] as const;

/** A rate as commands take it: `100/1m`, `5/90s`. */
export function rateText({ limit, periodMs }: Rate): string {
  const [unit, ms] = UNITS.find(([, size]) => periodMs % size === 0) ?? ["ms", 1];
  return `${limit}/${periodMs / ms}${unit}`;
}
