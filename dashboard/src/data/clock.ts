/** The page's clock: the one place that reads the time and sets timers. */
import { useSyncExternalStore } from "react";

const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(tick, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

function tick(): void {
  now = Date.now();
  for (const listener of listeners) listener();
}

/** The wall clock, milliseconds; the component is drawn again every second. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

export const wallClock = { now: () => Date.now() };

/** Resolves after `ms`, or when the signal aborts. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(pending);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const pending = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
