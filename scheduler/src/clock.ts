/** Time as the scheduler's parts see it; the only file that reads clocks and sets timers. */
import { setTimeout as delay } from "node:timers/promises";

/** Time as the scheduler's parts see it; tests pass their own. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. Only for display: no decision depends on it. */
  now(): number;
  /** Monotonic milliseconds; only differences mean anything. */
  monotonic(): number;
  /** Resolves after `ms` milliseconds, or as soon as `signal` aborts. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `fn` once after `ms` milliseconds; the returned function cancels it. */
  after(ms: number, fn: () => void): () => void;
}

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  async sleep(ms, signal) {
    if (signal?.aborted) return;
    try {
      await delay(ms, undefined, signal ? { signal, ref: false } : { ref: false });
    } catch (error) {
      if (!signal?.aborted) throw error;
    }
  },
  after(ms, fn) {
    const timer = setTimeout(fn, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/**
 * Keeps the process alive until the returned function is called. The clock's timers do not, so that a start or a stop
 * that waits for nothing else would end in the middle, without a word and with Node's exit code 13.
 */
export function holdProcess(): () => void {
  const timer = setInterval(() => undefined, 2 ** 31 - 1);
  return () => clearInterval(timer);
}

/** Keeps the process alive until `work` is done; see `holdProcess`. For waits that a caller's promise depends on. */
export async function holding<T>(work: () => Promise<T>): Promise<T> {
  const letGo = holdProcess();
  try {
    return await work();
  } finally {
    letGo();
  }
}
