/** Logs accepted tasks: a line for a batch, with the counts since the last line. */
import type { Clock } from "../../clock.ts";
import { formatTaskId } from "../../domain/ids.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";

/** Least time between two lines, milliseconds. */
const APART_MS = 1_000;

/** One of the tasks of a batch. */
export interface SubmitExample {
  readonly taskId: number;
  readonly type: string;
  readonly queue: string;
}

/** Costs a few numbers for a batch, and nothing for a task: the counters of the metrics have the counts. */
export class SubmitLog {
  readonly #parts: SubmitLogParts;
  #batches = 0;
  #example: SubmitExample | undefined;
  #logged = { submitted: 0, duplicates: 0 };
  #cancelTimer: (() => void) | undefined;

  constructor(parts: SubmitLogParts) {
    this.#parts = parts;
  }

  /** Tasks were inserted by one statement. */
  noteBatch(example: SubmitExample): void {
    this.#batches++;
    this.#example = example;
    if (!this.#cancelTimer) this.#write();
  }

  /** Writes the line that waits for its time. */
  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#example) this.#writeLine(this.#example);
  }

  #write(): void {
    this.#cancelTimer = undefined;
    if (!this.#example) return;
    this.#writeLine(this.#example);
    this.#cancelTimer = this.#parts.clock.after(APART_MS, () => this.#write());
  }

  #writeLine({ taskId, type, queue }: SubmitExample): void {
    const { submitted, duplicates } = this.#parts.counters;
    this.#parts.log.info("tasks.submitted", {
      count: submitted - this.#logged.submitted,
      duplicates: duplicates - this.#logged.duplicates,
      batches: this.#batches,
      example_task_id: formatTaskId(taskId),
      task_type: type,
      queue,
    });
    this.#logged = { submitted, duplicates };
    this.#batches = 0;
    this.#example = undefined;
  }
}

export interface SubmitLogParts {
  readonly clock: Pick<Clock, "after">;
  readonly log: Pick<Logger, "info">;
  readonly counters: Pick<Counters, "duplicates" | "submitted">;
}
