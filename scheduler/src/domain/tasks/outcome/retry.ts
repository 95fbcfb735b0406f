/** When a failed attempt is followed by another. */
export interface RetryPolicy {
  /** Attempts after the first one. */
  readonly maxRetries: number;
  readonly backoff: Backoff;
  /** Deaths by memory that the task may cause before it fails. */
  readonly maxOutOfMemory: number;
  /** An attempt that passed a hard timeout is followed by another, as after a retryable failure. @default true */
  readonly retryTimeouts?: boolean;
  /** What the task needs from the next attempt on when its worker ran out of memory. */
  readonly onOutOfMemory?: OutOfMemoryChange;
  /** Waits after the first, second, ... attempt that was lost with its worker; the last one is repeated. */
  readonly lostDelaysMs?: readonly number[];
  /**
   * Parts that the submit did not name: a default takes their place. They hold the built-in values, which schedulers of
   * earlier versions use.
   */
  readonly defaulted?: readonly ("maxRetries" | "backoff")[];
}

/** A change of a task's requirements with each such death. */
export interface OutOfMemoryChange {
  /** Labels that a worker must have, beside those of the task or in place of their values. */
  readonly labels?: Readonly<Record<string, string>>;
  /** In the order of the names. */
  readonly cost?: readonly CostRaise[];
}

/** How the amount of one capacity grows: by a factor, rounded up, or by an addition; at most to `most`. */
export type CostRaise = { readonly name: string; readonly most?: number } & (
  | { readonly factor: number }
  | { readonly addition: number }
);

/** The waits between attempts. */
export type Backoff =
  | { readonly kind: "fixed"; readonly delaysMs: readonly number[] }
  | {
      readonly kind: "exponential";
      readonly initialMs: number;
      readonly factor: number;
      readonly maxMs: number;
      /** Share of the wait that is random, 0 to 1. */
      readonly jitter: number;
    };

/** 1, 5 and 30 minutes, three retries, one death by memory forgiven. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  maxRetries: 3,
  backoff: { kind: "fixed", delaysMs: [60_000, 300_000, 1_800_000] },
  maxOutOfMemory: 1,
};

/**
 * Wait before a retry, in whole milliseconds.
 *
 * @param retry 1 for the first retry.
 * @param random A number in [0, 1), for the jitter.
 */
export function backoffMs(backoff: Backoff, retry: number, random: number): number {
  switch (backoff.kind) {
    case "fixed": {
      const last = backoff.delaysMs.length - 1;
      return last < 0 ? 0 : (backoff.delaysMs[Math.min(retry - 1, last)] ?? 0);
    }
    case "exponential": {
      const wait = Math.min(backoff.maxMs, backoff.initialMs * backoff.factor ** (retry - 1));
      return Math.round(wait * (1 - backoff.jitter * random));
    }
    default:
      return unreachable(backoff);
  }
}

function unreachable(value: never): never {
  throw new TypeError(`unknown backoff ${JSON.stringify(value)}`);
}
