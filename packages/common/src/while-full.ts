/** Repeats submits that were refused because a queue is full. */

/** Where the time comes from. */
export interface Waiting {
  readonly monotonicMs: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

/**
 * Submits, and again after the delay that the scheduler asked for, until there is room or the time is over. A request that
 * is larger than the queue's limit is not repeated: its refusal has no delay.
 *
 * @throws what `submit` or `sleep` throws last.
 */
export async function whileFull<T>(
  submit: () => Promise<T>,
  timeoutMs: number,
  { monotonicMs, sleep }: Waiting,
): Promise<T> {
  const endMs = monotonicMs() + timeoutMs;
  for (;;) {
    try {
      return await submit();
    } catch (error) {
      const delayMs = fullDelayMs(error);
      if (delayMs === undefined || monotonicMs() + delayMs > endMs) throw error;
      await sleep(delayMs);
    }
  }
}

/** The delay of a refusal `QUEUE_FULL`; undefined for any other error. */
function fullDelayMs(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("reason" in error) || error.reason !== "QUEUE_FULL") return undefined;
  return "retryAfterMs" in error && typeof error.retryAfterMs === "number" ? error.retryAfterMs : undefined;
}
