/** Runs a service at an interval, with growing waits after failures. */
import type { Clock } from "../clock.ts";
import { isAbsence } from "../domain/errors.ts";
import type { Logger } from "../telemetry/logs/logger.ts";
import { isLogDue } from "../telemetry/metrics/growing.ts";

/** A service that keeps failing waits for longer and longer, up to this or its interval, milliseconds. */
const LAST_WAIT_MS = 5_000;

/** A background service and its interval. */
export interface LoopOptions {
  readonly name: string;
  readonly intervalMs: number;
  readonly runOnce: () => Promise<void> | void;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Calls `runOnce`, waits, and calls it again until stopped. A run that throws is logged, at growing intervals when it
 * goes on, and the loop goes on; it never ends by itself.
 */
export class Loop {
  readonly name: string;
  readonly intervalMs: number;
  readonly #options: LoopOptions;
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #done: Promise<void> | undefined;
  #lastRunAt: number | undefined;
  #lastRunTime: number;
  #lastTickAt: number | undefined;
  #lastError: unknown;
  /** Runs in a row that failed, but for the database's absence. */
  #failures = 0;

  constructor(options: LoopOptions) {
    this.#options = options;
    this.name = options.name;
    this.intervalMs = options.intervalMs;
    this.#lastRunTime = options.clock.now();
  }

  /** When it last ran without an error, monotonic milliseconds. */
  get lastRunAt(): number | undefined {
    return this.#lastRunAt;
  }

  /** When a run last came to its end, with or without an error, monotonic milliseconds. */
  get lastTickAt(): number | undefined {
    return this.#lastTickAt;
  }

  /** The last run without an error by the wall clock, milliseconds since the epoch; before the first run, when it was made. */
  get lastRunTime(): number {
    return this.#lastRunTime;
  }

  /** Why the last run failed; undefined when it did not. */
  get lastError(): unknown {
    return this.#lastError;
  }

  start(): void {
    this.#done ??= this.#loop();
  }

  /** Runs soon instead of at the end of the interval. */
  wake(): void {
    this.#wake.abort();
  }

  /** Resolves when the run under way has ended. Safe to call twice. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
  }

  async #loop(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      await this.#run();
      const waitMs = Math.max(intervalMs, Math.min(intervalMs * 2 ** this.#failures, LAST_WAIT_MS));
      await clock.sleep(waitMs, AbortSignal.any([signal, this.#wake.signal]));
    }
  }

  async #run(): Promise<void> {
    const { runOnce, clock, log, name } = this.#options;
    try {
      await runOnce();
      this.#lastRunAt = clock.monotonic();
      this.#lastRunTime = clock.now();
      this.#lastError = undefined;
      this.#failures = 0;
    } catch (error) {
      // The database watch logs the database's absence.
      if (!isAbsence(error) && isLogDue(++this.#failures))
        log.error("loop.failed", { loop: name, error, failures: this.#failures });
      this.#lastError = error;
    } finally {
      this.#lastTickAt = clock.monotonic();
    }
  }
}
