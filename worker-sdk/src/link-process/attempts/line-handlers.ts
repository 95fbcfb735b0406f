/** The attempts that run in the worker's process. */
import type { Attempt } from "../../attempt/attempt.ts";
import type { ElsewhereHandler } from "../../attempt/elsewhere.ts";
import type { ExecuteOptions } from "../../attempt/execute.ts";
import type { Outcome } from "../../link/outcome.ts";
import type { AttemptLine } from "../lines/worker-line.ts";
import { LineRun, type LineRunParts } from "./line-run.ts";

/** Runs attempts, and gives each report to its attempt. */
export class LineHandlers implements ElsewhereHandler {
  readonly #parts: LineRunParts;
  readonly #runs = new Map<string, LineRun>();
  #over = false;

  constructor(parts: LineRunParts) {
    this.#parts = parts;
  }

  /** Attempts that the worker runs. */
  get runningCount(): number {
    return this.#runs.size;
  }

  async run(attempt: Attempt, { maxResultBytes }: ExecuteOptions): Promise<Outcome> {
    if (this.#over) return { kind: "released", reason: "worker_ended" };
    const run = new LineRun(attempt, maxResultBytes, this.#parts);
    this.#runs.set(attempt.id, run);
    try {
      return await run.run();
    } finally {
      if (this.#runs.get(attempt.id) === run) this.#runs.delete(attempt.id);
    }
  }

  /**
   * Takes a report of an attempt. False for an attempt that the worker does not have: it has ended meanwhile.
   *
   * @throws Error of one sentence for a report that cannot be taken.
   */
  receive(line: AttemptLine): boolean {
    const run = this.#runs.get(line.attempt);
    if (run === undefined) {
      if ("request" in line) this.#refuse(line.request);
      return false;
    }
    if (line.kind === "result") {
      this.#runs.delete(line.attempt);
      this.#parts.write(JSON.stringify({ kind: "got", attempt: line.attempt }));
    }
    run.receive(line);
    return true;
  }

  /** A result that cannot be read ends its attempt. */
  invalidResult(attemptId: string, message: string): void {
    const run = this.#runs.get(attemptId);
    if (run === undefined) return;
    this.#runs.delete(attemptId);
    run.end({
      kind: "failed",
      failureClass: "non_retryable",
      code: "INVALID_RESULT",
      message: `The worker's result is refused: ${message}`,
      traceback: "",
    });
  }

  /**
   * The process has ended: so have its attempts.
   *
   * @param ofOne Outcome of the only one that ran; of several it is not known which one ended the process.
   */
  processEnded(ofOne: Outcome): void {
    const runs = [...this.#runs.values()];
    this.#over = true;
    this.#runs.clear();
    const released: Outcome = { kind: "released", reason: "worker_ended" };
    for (const run of runs) run.endBy(runs.length === 1 ? ofOne : released);
  }

  #refuse(request: number): void {
    const error = { code: "ATTEMPT_ENDED", message: "the attempt has ended, or is not this worker's" };
    this.#parts.write(JSON.stringify({ kind: "answer", request, ok: false, error }));
  }
}
