import { systemClock } from "../clock.ts";

/** How long a call may take. */
export interface CallLimits {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * The outcome of `call`, unless its limits come first: then `late()` or the signal's reason, and the outcome is dropped.
 */
export function limited<T>(
  { timeoutMs, signal }: CallLimits,
  call: Promise<T>,
  late: () => Error,
): Promise<T> {
  if (signal?.aborted) {
    call.catch(() => {
      // Given up by whoever wanted it.
    });
    return Promise.reject(signal.reason);
  }
  return new Promise((resolve, reject) => {
    const onAbort = (): void => over(() => reject(signal?.reason));
    const cancel = systemClock.after(timeoutMs, () => over(() => reject(late())));
    const over = (settle: () => void): void => {
      cancel();
      signal?.removeEventListener("abort", onAbort);
      settle();
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    call.then(
      (value) => over(() => resolve(value)),
      (error) => over(() => reject(error)),
    );
  });
}
