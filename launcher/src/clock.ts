/** The only file of this package that reads clocks and sets timers. */
export interface Clock {
  /** Wall clock in milliseconds since 1970, for display only. */
  now(): number;
  /** Monotonic milliseconds, for differences. */
  monotonic(): number;
  /** Runs `callback` once after `delayMs`. Returns the cancel function. Does not keep the process alive. */
  after(delayMs: number, callback: () => void): () => void;
  /** Resolves after `delayMs`, or as soon as `signal` aborts; keeps the process alive until then. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  sleep(delayMs, signal) {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, delayMs);
      signal?.addEventListener("abort", done);
    });
  },
};
