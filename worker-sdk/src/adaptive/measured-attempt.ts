/** What an attempt says of the limit of its type. */
import { messageOf } from "../attempt/failure/classify.ts";
import type { Outcome } from "../link/outcome.ts";
import type { Logger } from "../logging/logger.ts";
import type { CompiledTask } from "../options/compiled-options.ts";
import { isTargetS } from "../options/task-types/adaptive-concurrency.ts";
import type { MeasuredAttempt } from "./adaptive-limit.ts";

/** The parts of an attempt that are measured. */
export interface EndedAttempt {
  readonly id: string;
  readonly runMs: number;
  readonly limitRound: number;
  /** What the schema made of the payload. */
  readonly parsed: unknown;
}

/**
 * What counts of an attempt; undefined for one that counts as nothing: it was cancelled or released, its failure is that of its input, or
 * its target is none.
 */
export function measuredAttempt(
  { id, runMs, limitRound: round, parsed }: EndedAttempt,
  { type, adaptive }: Pick<CompiledTask, "type" | "adaptive">,
  outcome: Outcome,
  log: Pick<Logger, "warn">,
): MeasuredAttempt | undefined {
  if (outcome.kind === "failed")
    return outcome.failureClass === "non_retryable"
      ? undefined
      : { round, runMs, failed: true, targetMs: undefined };
  if (outcome.kind !== "succeeded") return undefined;
  const target = adaptive?.targetS;
  if (target === undefined) return { round, runMs, failed: false, targetMs: undefined };
  let seconds: unknown = target;
  try {
    if (typeof target === "function") seconds = target(parsed as never);
  } catch (error) {
    seconds = `an error: ${messageOf(error)}`;
  }
  if (isTargetS(seconds)) return { round, runMs, failed: false, targetMs: seconds * 1_000 };
  const fields = {
    event: "worker.concurrency.no_target",
    attempt_id: id,
    task_type: type,
    got: String(seconds),
  };
  log.warn(
    fields,
    "option concurrency.targetS: its function gave no number of seconds; the attempt is not counted",
  );
  return undefined;
}
