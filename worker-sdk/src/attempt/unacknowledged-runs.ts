/** The spans of runs whose outcomes the scheduler has not acknowledged. */
import type { RunTrace } from "../tracing/run-trace.ts";

/** Releases the spans of a run with the acknowledgement of its outcome, and drops them when it is refused. */
export class UnacknowledgedRuns {
  readonly #traces = new Map<string, RunTrace>();

  /** The outcome is being reported. */
  add(attemptId: string, trace: RunTrace): void {
    this.#traces.set(attemptId, trace);
  }

  /** The scheduler has acknowledged these outcomes. */
  acknowledged(attemptIds: readonly string[]): void {
    for (const attemptId of attemptIds) {
      this.#traces.get(attemptId)?.release();
      this.#traces.delete(attemptId);
    }
  }

  /** The outcome is not this worker's: the attempt belongs to another. */
  refused(attemptId: string): void {
    this.#traces.get(attemptId)?.drop();
    this.#traces.delete(attemptId);
  }

  /** Nothing will be acknowledged any more. */
  dropAll(): void {
    for (const attemptId of [...this.#traces.keys()]) this.refused(attemptId);
  }
}
