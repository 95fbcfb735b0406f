/** The attempt that running code belongs to, also across its awaits and timers. */
import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";

/** The attempt whose handler runs, or started what runs: uncaught errors are attributed to it. */
const scope = new AsyncLocalStorage<string>();

/**
 * The context in which every handler starts. A handler often starts in a callback of the one before it: without this it
 * would get the stores that the other one had entered. It also spares the context that `AsyncLocalStorage.run` makes to
 * return to the one before: 0.15 instead of 0.25 µs an attempt, and half of the contexts to collect.
 */
const outside = new AsyncResource("MusterAttempt");

/** Runs a handler as part of the attempt. */
export function withinAttempt<T>(attemptId: string, run: () => T): T {
  return outside.runInAsyncScope(() => {
    scope.enterWith(attemptId);
    return run();
  });
}

/** The attempt that the running code belongs to; undefined outside of handlers. */
export function currentAttemptId(): string | undefined {
  return scope.getStore();
}
