import { AsyncLocalStorage } from "node:async_hooks";

/** The attempt whose handler runs, or started what runs: an error that nobody caught is put down to it. */
const scope = new AsyncLocalStorage<string>();

/** Runs a handler as the attempt's. */
export function withinAttempt<T>(attemptId: string, run: () => T): T {
  return scope.run(attemptId, run);
}

/** The attempt that the code at hand belongs to; undefined outside of every handler. */
export function currentAttemptId(): string | undefined {
  return scope.getStore();
}
