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
  #done: Promise<void> | undefined;
  #stopping = false;
  /** Woken since the run under way began. */
  #woken = false;
  /** Ends the wait for the next run, when there is one. */
  #endWait: () => void = () => undefined;
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
    this.#woken = true;
    this.#endWait();
  }

  /** Resolves when the run under way has ended. Safe to call twice. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#endWait();
    await this.#done;
  }

  async #loop(): Promise<void> {
    const { intervalMs } = this.#options;
    while (!this.#stopping) {
      this.#woken = false;
      await this.#run();
      if (this.#woken || this.#stopping) continue;
      await this.#wait(Math.max(intervalMs, Math.min(intervalMs * 2 ** this.#failures, LAST_WAIT_MS)));
    }
  }

  // Without abort signals, of which every wait needs two: they took a twentieth of the processor time of an idle scheduler.
  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(ms, resolve);
      this.#endWait = () => {
        cancel();
        resolve();
      };
    });
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
