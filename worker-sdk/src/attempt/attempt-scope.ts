import { AsyncLocalStorage } from "node:async_hooks";

/** The attempt whose handler runs, or started what runs: uncaught errors are attributed to it. */
const scope = new AsyncLocalStorage<string>();

/** Runs a handler as part of the attempt. */
export function withinAttempt<T>(attemptId: string, run: () => T): T {
  return scope.run(attemptId, run);
}

/** The attempt that the running code belongs to; undefined outside of handlers. */
export function currentAttemptId(): string | undefined {
  return scope.getStore();
}
