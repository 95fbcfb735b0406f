/** The only file of this package that reads clocks and sets timers. */
export interface Clock {
  /** Milliseconds on a monotonic clock that every thread of the process shares. */
  monotonicMs(): number;
  /** Runs `callback` once after `delayMs`; the returned function cancels it. Keeps the process alive. */
  after(delayMs: number, callback: () => void): () => void;
  /** Runs `callback` every `periodMs` until the returned function is called. Never keeps the process alive. */
  every(periodMs: number, callback: () => void): () => void;
}

/** The longest delay that Node's timers take; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The process's own clock. */
export const systemClock: Clock = {
  monotonicMs: () => Number(process.hrtime.bigint()) / 1e6,
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(0, delayMs), MAX_TIMER_MS));
    return () => clearTimeout(timer);
  },
  every(periodMs, callback) {
    const timer = setInterval(callback, Math.min(periodMs, MAX_TIMER_MS));
    timer.unref();
    return () => clearInterval(timer);
  },
};

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it aborts. */
export function sleep(delayMs: number, signal?: AbortSignal, clock: Clock = systemClock): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** Resolves with `true` when `promise` settles within `timeoutMs`, with `false` when it does not. */
export function settledWithin(
  promise: Promise<unknown>,
  timeoutMs: number,
  clock: Clock = systemClock,
): Promise<boolean> {
  return new Promise((resolve) => {
    const cancel = clock.after(timeoutMs, () => resolve(false));
    const done = (): void => {
      cancel();
      resolve(true);
    };
    promise.then(done, done);
  });
}

/** The wall clock as ISO 8601 with milliseconds: for log lines, never for arithmetic. */
export function wallClockIso(): string {
  return new Date().toISOString();
}

/** The wall clock for spans, and for moments that a handler gives or gets. */
export function wallClock(): Date {
  return new Date();
}

/** Milliseconds since the process started; in a thread, since the thread did. */
export function processAgeMs(): number {
  return performance.now();
}
