/** Makes attempts for tests. */
import type { Cost } from "../../domain/matching/capacity.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import { type AssignedRow, Attempt } from "../attempts/attempt.ts";

/** What is particular about an attempt that a test makes. */
interface AttemptPlan extends Partial<AssignedRow>, Partial<Pick<TaskClass, "type" | "alone" | "circuit">> {
  /** When its worker accepted it; undefined when it has not. */
  readonly acceptedAt?: number;
  /** When its handler was called; undefined when it was not. */
  readonly startedAt?: number;
  /** One slot by default. */
  readonly cost?: Cost | undefined;
}

/** An attempt as an assignment at moment 0 makes it: task 1, epoch 1, type `t`, with what the test gives. */
export function madeAttempt({
  type = "t",
  alone,
  circuit,
  acceptedAt,
  startedAt,
  cost,
  ...row
}: AttemptPlan = {}): Attempt {
  const attempt = new Attempt(
    {
      taskId: 1,
      epoch: 1,
      classId: 1,
      attemptCount: 1,
      outOfMemoryCount: 0,
      requeueCounts: undefined,
      options: undefined,
      cancelReason: undefined,
      ...row,
    },
    { type, queue: "default", circuit, ...(alone === undefined ? {} : { alone }), requirements: { cost } },
    0,
    undefined,
  );
  if (acceptedAt !== undefined) attempt.accept(acceptedAt);
  if (startedAt !== undefined) attempt.start(startedAt);
  return attempt;
}
