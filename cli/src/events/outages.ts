import { Code } from "@connectrpc/connect";
import { MusterError } from "@muster/worker/client";

/** How a call or stream ends whose scheduler was killed or stood still; a bug of the scheduler looks the same. */
const WORDLESS_CODES: ReadonlySet<Code> = new Set([
  Code.Aborted,
  Code.Canceled,
  Code.DataLoss,
  Code.DeadlineExceeded,
  Code.Internal,
  Code.Unknown,
]);

/** Ends of that kind in a row, without an answer between them, after which it is taken for a bug. */
const MAX_WORDLESS = 5;

/** Tells a scheduler that is away for a while from one that refuses. */
export class Outages {
  #wordless = 0;

  /** The scheduler answers. */
  over(): void {
    this.#wordless = 0;
  }

  /**
   * Why something failed that may be tried again.
   *
   * @throws the error itself when it is a verdict of the scheduler, or no failure of a call at all.
   */
  explain(error: unknown): string {
    if (!(error instanceof MusterError)) throw error;
    const wordless = error.reason === "" && WORDLESS_CODES.has(error.code);
    if (wordless) this.#wordless += 1;
    if (error.transient || (wordless && this.#wordless <= MAX_WORDLESS)) {
      return `the connection broke: ${error.message}`;
    }
    throw error;
  }
}
