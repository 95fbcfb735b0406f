/** Waits at the start until the database can be used. */
import { type Clock, holding } from "../clock.ts";
import { conditionRemedy, isLasting } from "../domain/database/database-condition.ts";
import { DatabaseUnavailableError } from "../domain/errors.ts";
import type { Logger } from "../telemetry/logs/logger.ts";
import { isLogDue } from "../telemetry/metrics/growing.ts";

/** First and longest wait between tries, milliseconds; each wait is twice the one before. */
const FIRST_WAIT_MS = 250;
const LAST_WAIT_MS = 5_000;

/** A stop was requested while the start waited for the database. */
export class StartCancelledError extends Error {
  override readonly name = "StartCancelledError";
}

/**
 * Tries a part of the start that needs the database until the database can be used.
 *
 * @throws DatabaseUnavailableError when waiting does not help: a wrong password, no such database, a missing privilege.
 * @throws StartCancelledError when `signal` aborts meanwhile.
 */
export async function whenUsable<T>(
  work: () => Promise<T>,
  { clock, log, signal }: { clock: Clock; log: Logger; signal?: AbortSignal | undefined },
): Promise<T> {
  const startedAt = clock.monotonic();
  let wait = FIRST_WAIT_MS;
  for (let tries = 1; ; tries++) {
    if (signal?.aborted) throw new StartCancelledError("the start was asked to end");
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DatabaseUnavailableError)) throw error;
      const remedy = conditionRemedy(error.condition);
      if (isLasting(error.condition))
        throw new DatabaseUnavailableError(`${error.message}; ${remedy}`, false, error, error.condition);
      if (isLogDue(tries)) {
        log.warn("scheduler.waiting_for_database", {
          waited_ms: Math.round(clock.monotonic() - startedAt),
          tries,
          next_try_ms: wait,
          remedy,
          error,
        });
      }
      await holding(() => clock.sleep(wait, signal));
      wait = Math.min(wait * 2, LAST_WAIT_MS);
    }
  }
}
