/**
 * Timers of the guardian, which keep its process alive. The timers of the scheduler's clock do not, and a guardian whose
 * scheduler was killed has only such a wait to stay alive until the database has stopped.
 */
import { setTimeout as timer } from "node:timers/promises";

/** Interval and bound of {@link pollFor}, in milliseconds. */
export interface PollOptions {
  everyMs: number;
  withinMs: number;
  signal?: AbortSignal | undefined;
}

/**
 * Calls `ask` until it has an answer, and resolves with it, or with undefined when none came in time. For events without
 * a notification: the end of a process that is not a child, the release of a lock.
 *
 * @throws the signal's reason, when it is aborted in the meantime
 */
export async function pollFor<T>(
  ask: () => T | undefined | Promise<T | undefined>,
  options: PollOptions,
): Promise<T | undefined> {
  const deadline = performance.now() + options.withinMs;
  for (;;) {
    options.signal?.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined || performance.now() >= deadline) return answer;
    await timer(options.everyMs);
  }
}

/** True when the promise settles, either way, within `ms`; it is left running otherwise. */
export async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const giveUp = new AbortController();
  const timeout = timer(ms, false, { signal: giveUp.signal }).catch(() => false);
  const settled = promise.then(
    () => true,
    () => true,
  );
  const inTime = await Promise.race([settled, timeout]);
  giveUp.abort();
  return inTime;
}
