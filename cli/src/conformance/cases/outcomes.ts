/** What cases ask of results, and of workers that do not have every ability. */
import {
  type Failure,
  FailureClass,
  type Hello,
  RejectionReason,
  type TaskResult,
  TaskResultSchema,
} from "@muster/protocol";
import { Mismatch, must, NotClaimed } from "../mismatch.ts";
import { describeMessage } from "../peer/transcript.ts";
import type { WorkerStream } from "../peer/worker-stream.ts";

type OutcomeCase = NonNullable<TaskResult["outcome"]["case"]>;

/** @throws Mismatch unless the result has this outcome. */
export function mustBe(result: TaskResult, outcome: OutcomeCase): void {
  const came = describeMessage(TaskResultSchema, result);
  must(result.outcome.case === outcome, `the outcome "${outcome}"`, `it was ${came}`);
}

/** The output of a success, as text. */
export function outputOf(result: TaskResult): string {
  mustBe(result, "succeeded");
  return result.outcome.case === "succeeded" ? Buffer.from(result.outcome.value.output).toString("utf8") : "";
}

/** The failure of a result of this class. */
export function failureOf(result: TaskResult, failureClass: FailureClass): Failure {
  mustBe(result, "failed");
  const { outcome } = result;
  if (outcome.case !== "failed") throw new Mismatch("a failure", "none came");
  const [wanted, came] = [failureClass, outcome.value.failureClass].map((each) => nameOf(FailureClass, each));
  must(outcome.value.failureClass === failureClass, `class ${wanted}`, `it was ${came}`);
  return outcome.value;
}

/** @throws NotClaimed unless Hello has the feature. */
export function needsFeature(hello: Hello | undefined, feature: string): void {
  if (!hello?.features.includes(feature))
    throw new NotClaimed(`the worker's Hello does not have the feature "${feature}"`);
}

/** The name of an enum's value; the number of one that is unknown. */
export function nameOf(values: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(values).find((name) => values[name] === value) ?? String(value);
}

/** Waits for the rejection of an attempt. @throws Mismatch unless it has this reason. */
export async function mustReject(
  stream: WorkerStream,
  attemptId: string,
  reason: RejectionReason,
): Promise<void> {
  const rejected = await stream.rejection(attemptId);
  const [wanted, came] = [reason, rejected.reason].map((each) => nameOf(RejectionReason, each));
  must(rejected.reason === reason, `TaskRejected of ${attemptId} with ${wanted}`, `it was ${came}`);
}
