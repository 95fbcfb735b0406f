/** Which ends of attempts a circuit counts. */
import type { FailureClass } from "../outcome/failure.ts";
import type { Outcome } from "../outcome/outcome.ts";

/** How a circuit counts the end of an attempt. */
export type CountedOutcome = "succeeded" | "failed";

/**
 * Failures that handlers reported or caused by running too long count. Running out of memory and the loss of a worker end
 * processes, with tasks in them that did not fail. A new class of failures does not compile without its line here.
 */
export const COUNTED_FAILURES: Readonly<Record<FailureClass, boolean>> = {
  retryable: true,
  non_retryable: true,
  timed_out: true,
  out_of_memory: false,
  worker_lost: false,
};

/**
 * How a circuit counts the end of an attempt; undefined when it says nothing of the handler: a cancellation, a release by
 * a drain or a rejection, an assignment that was not accepted, and a lost worker. A failure after a request to cancel is
 * taken for its effect. A new kind of ends does not compile without its case here.
 */
export function countedOutcome(
  outcome: Outcome,
  cancelReason: string | undefined,
): CountedOutcome | undefined {
  switch (outcome.kind) {
    case "succeeded":
      return "succeeded";
    case "failed":
      return cancelReason === undefined && COUNTED_FAILURES[outcome.failure.failureClass]
        ? "failed"
        : undefined;
    case "cancelled":
    case "released":
    case "unaccepted":
    case "lost":
      return undefined;
    default:
      return unreachable(outcome);
  }
}

function unreachable(value: never): never {
  throw new TypeError(`unknown kind ${JSON.stringify(value)}`);
}
