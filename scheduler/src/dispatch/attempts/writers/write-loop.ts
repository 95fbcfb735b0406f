/** Runs the writes of a writer one after the other: soon after something came, and again after a wait when one failed. */
import type { Clock } from "../../../clock.ts";
import { isAbsence } from "../../../domain/errors.ts";
import { isLogDue } from "../../../telemetry/metrics/growing.ts";

/** Longest delay before what came is written: a reader sees it at once, and a task that ends sooner needs no write of its own. */
const FLUSH_AFTER_MS = 50;

/** Waits after the database was found away or refused something, doubling up to the last, milliseconds. */
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5_000;

export interface WriteLoopParts {
  readonly clock: Pick<Clock, "after">;
  /** Writes a batch. False when some of it was kept; never throws. */
  readonly write: () => Promise<boolean>;
  /** Called for failures that are to be logged, with their number in a row. */
  readonly onFailure: (failure: {
    readonly error: unknown;
    readonly rows: number;
    readonly failures: number;
  }) => void;
}

/** The timer and the failures of a writer. */
export class WriteLoop {
  readonly #parts: WriteLoopParts;
  #timer: (() => void) | undefined;
  #writing: Promise<unknown> = Promise.resolve();
  #stopped = false;
  #failures = 0;

  constructor(parts: WriteLoopParts) {
    this.#parts = parts;
  }

  /** Writes in a row that failed. */
  get failures(): number {
    return this.#failures;
  }

  /** Something has come. */
  arm(afterMs = FLUSH_AFTER_MS): void {
    if (this.#timer || this.#stopped) return;
    this.#timer = this.#parts.clock.after(afterMs, () => {
      this.#timer = undefined;
      void this.run();
    });
  }

  /** Writes what is there when the write under way is over. False when some of it was kept. */
  run(): Promise<boolean> {
    const written = this.#writing.then(() => this.#parts.write());
    this.#writing = written;
    return written;
  }

  /** Writes what is there and takes no more time than one try. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.();
    this.#timer = undefined;
    await this.#writing;
    await this.#parts.write();
  }

  /** A write has succeeded. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** What is kept is tried again after a wait that grows. */
  failed(rows: number, error: unknown): void {
    this.#failures++;
    const waitMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 10), LAST_RETRY_MS);
    // The database watch logs the database's absence.
    if (!isAbsence(error) && isLogDue(this.#failures))
      this.#parts.onFailure({ error, rows, failures: this.#failures });
    this.arm(waitMs);
  }
}
