/** The only file of this package that reads clocks and sets timers. */
export interface Clock {
  /** Wall clock in milliseconds since the epoch; only shown, and compared with what is shown. */
  now(): number;
  /** Runs `callback` once after `delayMs`; the answer cancels it. Never keeps the process alive. */
  after(delayMs: number, callback: () => void): () => void;
  /** Resolves after `delayMs`; keeps the process alive until then. */
  sleep(delayMs: number): Promise<void>;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  sleep: (delayMs) => new Promise((resolve) => void setTimeout(resolve, delayMs)),
};
