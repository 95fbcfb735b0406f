/** Recognises outages of the scheduler among errors. */
import { Code } from "@connectrpc/connect";
import { MusterError } from "@muster/worker/client";

/** Statuses of a call whose scheduler was killed or stopped; a bug of the scheduler looks the same. */
const BROKEN_CALL_CODES: ReadonlySet<Code> = new Set([
  Code.Aborted,
  Code.Canceled,
  Code.DataLoss,
  Code.DeadlineExceeded,
  Code.Internal,
  Code.Unknown,
]);

/** Failures with these statuses in a row, without an answer between them, after which they count as a bug. */
const MAX_BROKEN_CALLS = 5;

/** Distinguishes an outage of the scheduler from a permanent error. */
export class Outages {
  #brokenCalls = 0;

  /** The scheduler answers. */
  over(): void {
    this.#brokenCalls = 0;
  }

  /**
   * The reason of a failure that may be retried.
   *
   * @throws the error itself when it is permanent or not a failed call.
   */
  explain(error: unknown): string {
    if (!(error instanceof MusterError)) throw error;
    const broken = error.reason === "" && BROKEN_CALL_CODES.has(error.code);
    if (broken) this.#brokenCalls += 1;
    if (error.transient || (broken && this.#brokenCalls <= MAX_BROKEN_CALLS)) {
      return `the connection broke: ${error.message}`;
    }
    throw error;
  }
}
