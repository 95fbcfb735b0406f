/** Limits of calls. */
import { systemClock } from "../../clock.ts";
import { checkSeconds } from "../../options/option-checks.ts";

/** Longest timeout that Node's timers take, in seconds: 24.8 days. */
export const MAX_TIMEOUT_S = 2_147_483;

/**
 * The timeout of a call or a wait in milliseconds; undefined stays undefined.
 *
 * @throws OptionsError when it is not a number of seconds in range.
 */
export function timeoutMsOf(call: string, timeoutS: number | undefined): number | undefined {
  if (timeoutS === undefined) return undefined;
  checkSeconds(call, "timeoutS", timeoutS, MAX_TIMEOUT_S);
  return timeoutS * 1000;
}

/** Limits of a call. */
export interface CallLimits {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Settles as `call` does, unless a limit is reached first: then it rejects with `late()` or the reason of the signal,
 * and the outcome is dropped.
 */
export function limited<T>(
  { timeoutMs, signal }: CallLimits,
  call: Promise<T>,
  late: () => Error,
): Promise<T> {
  if (signal?.aborted) {
    call.catch(() => {
      // Its caller has aborted it.
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
